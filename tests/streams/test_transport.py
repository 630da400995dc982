"""What is read again reaches whoever takes it, however far Faust had handed on before."""

from faust.types import TP

from streams.transport import _Unread


def test_nothing_is_remembered_by_which_what_is_read_again_could_be_dropped() -> None:
    place, unread = TP("touchpoints", 1), _Unread()
    unread[place] = 322
    unread.update({place: 500})
    # Faust hands a chunk on when nothing is noted, and drops it when it begins before what is.
    assert unread[place] is None and unread.pop(place, None) is None and place not in unread
