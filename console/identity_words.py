"""The words in which identity is explained, in English and Hebrew."""

from __future__ import annotations

from collections.abc import Mapping

from streams.friction.texts import Language

WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "customer": "customer {name}",
        "provisional": "provisional customer {name}: no customer_id is known",
        "identifiers": "{count:,} identifiers",
        "identifiers_one": "1 identifier",
        "touchpoints": "{count:,} touchpoints",
        "touchpoints_one": "1 touchpoint",
        "more": "There is more: --limit 0 shows all of it",
        "alone": "No other identifier belongs to it",
        "owners": "{count:,} owners",
        "owners_one": "1 owner",
        "others": "Seen with them, and not theirs",
        "seen_with": "seen with {owners}",
        "with": "{owner} ({times}, last {at})",
        "times": "{count:,} times",
        "times_one": "once",
        "and_more": "and {count:,} more",
        "conflict": "it was seen with {count:,} owners and stays with the earliest, {owner}, until somebody settles it",
        "flagged": "it was seen with {count:,} owners in one window, too many for one person, so it belongs to nobody",
        "loop": "merge records lead from it to {owner} and back: all of it is with one of them, the first by name",
        "unlinked": "a person took it away from its owner, and nothing else says whose it is",
        "unlinked_by": "{said}; nothing else says whose it is",
        "nobody": "nobody",
        "joined": "{first} and {second} are one customer, {name}:",
        "same": "{first} and {second} are the same identifier",
        "apart": "Nothing joins {first} and {second}",
        "belongs": "{key} belongs to {owner}",
        "none": "{key} belongs to nobody",
        "stands": "{key} is a customer of its own",
        "pair": "{key} was seen with {owner} {times}, last {at}",
    },
    "he": {
        "customer": "לקוח {name}",
        "provisional": "לקוח זמני {name}: לא ידוע customer_id",
        "identifiers": "{count:,} מזהים",
        "identifiers_one": "מזהה אחד",
        "touchpoints": "{count:,} נקודות מגע",
        "touchpoints_one": "נקודת מגע אחת",
        "more": "יש עוד: ‎--limit 0 מציג הכול",
        "alone": "אין מזהה אחר ששייך אליו",
        "owners": "{count:,} בעלים",
        "owners_one": "בעלים אחד",
        "others": "נראו איתם, ואינם שלהם",
        "seen_with": "נראה עם {owners}",
        "with": "{owner} ({times}, לאחרונה {at})",
        "times": "{count:,} פעמים",
        "times_one": "פעם אחת",
        "and_more": "ועוד {count:,}",
        "conflict": "המזהה נראה עם {count:,} בעלים ונשאר אצל המוקדם, {owner}, עד שמישהו יכריע",
        "flagged": "המזהה נראה עם {count:,} בעלים בחלון אחד, יותר מדי לאדם אחד, ולכן אינו שייך לאיש",
        "loop": "רשומות איחוד מובילות ממנו אל {owner} ובחזרה: כל מה שהגיע תחת אחד מהם נמצא אצל אחד, הראשון לפי השם",
        "unlinked": "אדם ניתק אותו מבעליו, ודבר אחר אינו אומר של מי הוא",
        "unlinked_by": "{said}; דבר אחר אינו אומר של מי הוא",
        "nobody": "אף אחד",
        "joined": "{first} ו-{second} הם לקוח אחד, {name}:",
        "same": "{first} ו-{second} הם אותו מזהה",
        "apart": "דבר אינו מחבר את {first} ואת {second}",
        "belongs": "{key} שייך אל {owner}",
        "none": "{key} אינו שייך לאיש",
        "stands": "{key} הוא לקוח בפני עצמו",
        "pair": "{key} נראה עם {owner} {times}, לאחרונה {at}",
    },
}
STATUSES: Mapping[Language, Mapping[str, str]] = {
    "en": {},
    "he": {"linked": "מקושר", "conflict": "סתירה", "flagged": "מסומן", "unlinked": "מנותק", "loop": "מעגל"},
}
"""What a status is called; in English by its own name."""
RULES: Mapping[Language, Mapping[str, str]] = {
    "en": {"seen_together": "seen together", "merged": "merged", "relinked": "ordered by a person"},
    "he": {"seen_together": "נראו יחד", "merged": "איחוד", "relinked": "נקבע בידי אדם"},
}
SAID: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "merged": "{source} merged it into {owner}",
        "unlinked": "{by} unlinked it from {owner}",
        "relinked": "{by} linked it to {owner}",
    },
    "he": {
        "merged": "{source} איחד/ה אותו אל {owner}",
        "unlinked": "{by} ניתק/ה אותו מ-{owner}",
        "relinked": "{by} קישר/ה אותו אל {owner}",
    },
}
"""Merges and what people did, of the weaker identifier."""


def counted(name: str, count: int, language: Language) -> str:
    """`3 owners`, `1 owner`."""
    words = WORDS[language]
    return words[f"{name}_one"] if count == 1 else words[name].format(count=count)


QUALITY: Mapping[str, str] = {
    "identifiers": "identifiers known",
    "linked": "  linked",
    "conflicts": "  in conflict",
    "flagged": "  flagged: too many owners",
    "unlinked": "  unlinked by a person",
    "loops": "  merged in a circle",
    "customers": "customers",
    "provisional_customers": "  provisional",
    "provisional_share": "  share that is provisional",
    "touchpoints": "touchpoints",
    "stitched_touchpoints": "  that came through a link",
    "stitched_share": "  share that came through a link",
    "recent_touchpoints": "touchpoints of 30 days",
    "stitch_rate": "  stitch rate: of a customer_id",
    "mean_hops": "links on the way, mean",
    "max_hops": "links on the way, most",
    "timed_merges": "identifiers merged in time",
    "median_seconds_to_merge": "  time to merge, median",
    "p95_seconds_to_merge": "  time to merge, 95 %",
}
"""What the columns of `analytics.identity_quality` are called."""
