"""The words in which one alert is shown, in English and Hebrew."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.alert_action import ActionName
from streams.friction.texts import Language

LABELS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "customer": "customer",
        "store": "store",
        "subject": "about",
        "journey": "journey",
        "opened": "opened",
        "seen": "last seen",
        "resolved": "resolved",
        "why": "why",
        "found": "found",
        "allowed": "allowed",
        "limit": "well until",
        "silent_if": "no alert",
        "withdrawn": "taken back",
        "advice": "do now",
        "affected": "customers",
        "hand": "in hand",
        "silenced": "silenced",
        "evidence": "Evidence (times are UTC)",
        "history": "What people did",
        "nothing": "nobody has done anything yet",
        "missing": "not stored yet",
        "until": "until",
        "by": "by",
        "condition_opened": "the rule's condition came true",
        "condition_limit": "until now all would have been well",
        "condition_resolved": "it was over",
        "source": "RULE",
    },
    "he": {
        "customer": "לקוח",
        "store": "סניף",
        "subject": "נושא",
        "journey": "מסע",
        "opened": "נפתחה",
        "seen": "נראתה לאחרונה",
        "resolved": "נפתרה",
        "why": "מדוע",
        "found": "נמצא",
        "allowed": "מותר",
        "limit": "תקין עד",
        "silent_if": "בלי התרעה",
        "withdrawn": "בוטלה",
        "advice": "מה לעשות",
        "affected": "לקוחות",
        "hand": "בטיפול",
        "silenced": "מושתקת",
        "evidence": "ראיות (השעות הן UTC)",
        "history": "מה נעשה",
        "nothing": "איש לא עשה דבר עדיין",
        "missing": "טרם נשמר",
        "until": "עד",
        "by": "מאת",
        "condition_opened": "תנאי הכלל התקיים",
        "condition_limit": "עד כאן הכול היה תקין",
        "condition_resolved": "הסתיים",
        "source": "כלל",
    },
}
DEEDS: Mapping[Language, Mapping[ActionName, str]] = {
    "en": {
        "ack": "acknowledged it",
        "unack": "took the acknowledgement back",
        "assign": "gave it to",
        "note": "noted",
        "resolve": "resolved it",
        "reopen": "opened it again",
        "silence": "silenced it",
        "unsilence": "ended the silence",
    },
    "he": {
        "ack": "אישר/ה קבלה",
        "unack": "ביטל/ה את אישור הקבלה",
        "assign": "העביר/ה ל",
        "note": "רשם/ה",
        "resolve": "סגר/ה",
        "reopen": "פתח/ה שוב",
        "silence": "השתיק/ה",
        "unsilence": "ביטל/ה את ההשתקה",
    },
}
NOBODY: Mapping[Language, str] = {"en": "nobody", "he": "איש"}
DONE: Mapping[ActionName, str] = {
    "ack": "acknowledged",
    "unack": "acknowledgement taken back",
    "assign": "assigned",
    "note": "noted",
    "resolve": "resolved",
    "reopen": "opened again",
    "silence": "silenced",
    "unsilence": "silence ended",
}
"""What an action has brought about, for the line that confirms it."""
