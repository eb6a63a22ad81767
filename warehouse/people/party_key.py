"""The one equality of parties: when two spellings are the same phone number, short code, sender or login.

People, legal holds, exports and retention compare parties by these keys. The tables keep iPlum's spelling.
"""

import re
import unicodedata
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, ValidationResult

_SCHEME = re.compile(r"^(?:sips?|tel|mailto|callto|sms):(?://)?", re.IGNORECASE)
#: A SIP address whose user part is a number: `+14085550123@host`.
_NUMBER_AT_HOST = re.compile(r"^(\+?[0-9().\s-]{3,})@")
_EXTENSION = re.compile(r"(?<=[0-9)])\s*(?:[,;]?\s*(?:ext(?:ension|n|\.)?|x)|,+|;+|#)\s*[:=.]?\s*([0-9]{1,7})#?$")
_INTERNATIONAL_PREFIX = re.compile(r"^00(?=[1-9])")
# Short codes have three to six digits; the shortest numbers with a country code have seven.
_LONGEST_SHORT_CODE = 6
_CACHED_PARTIES = 100_000

REGIONS = frozenset(phonenumbers.SUPPORTED_REGIONS)


@lru_cache(_CACHED_PARTIES)
def build_party_key(party: str, region: str) -> str:
    """Return a key that is equal for all spellings of a party, and differs between parties.

    Args:
        party: A phone number in any notation, a short code, an alphanumeric sender, a login or `anonymous`.
        region: The region of numbers written without a country code, such as `US` (ISO 3166-1).

    Returns:
        E.164 (`+14085550123`) for a phone number, the digits for a short code, otherwise the text itself in lower
        case. An extension is not part of it. Empty if the text has no letter, digit or symbol.

    """
    text = _strip(party)
    # A login may begin with a number; in an address of SIP, that is the number.
    is_address = bool(_SCHEME.match(party.strip()))
    if is_address and (number := _NUMBER_AT_HOST.match(text)):
        text = number[1]
    elif "@" in text:
        return text.partition(";")[0] if is_address else text
    number_text, _ = _split_extension(text.partition(";phone-context=")[0])
    if any(letter.isalpha() for letter in number_text) or not any(letter.isdecimal() for letter in number_text):
        return text
    return _format_number(number_text, region)


def find_extension(party: str) -> str | None:
    """Return the extension of a phone number such as `+1 408 555 0123 ext. 12`; None without one."""
    return _split_extension(_strip(party))[1]


def is_phone_number(key: str) -> bool:
    """Whether a key of `build_party_key` is a phone number with its country code."""
    return key.startswith("+")


def _strip(party: str) -> str:
    """Fold width and case; remove white space around, invisible characters, and a scheme such as `tel:`."""
    folded = unicodedata.normalize("NFKC", party).casefold()
    visible = "".join(letter for letter in folded if unicodedata.category(letter) not in {"Cf", "Cc"})
    # Spreadsheets write an apostrophe before a number so that it stays text.
    return _SCHEME.sub("", visible.strip()).lstrip("'").strip()


def _split_extension(text: str) -> tuple[str, str | None]:
    match = _EXTENSION.search(text)
    return (text[: match.start()].strip(), match[1]) if match else (text, None)


def _format_number(text: str, region: str) -> str:
    dialed = "".join(str(unicodedata.decimal(one)) for one in text if one.isdecimal())
    # `00` is the international prefix of most of the world, also in address books of the United States.
    number = _INTERNATIONAL_PREFIX.sub("", dialed)
    if len(number) <= _LONGEST_SHORT_CODE:
        return number
    written = f"+{number}" if "+" in text or number != dialed else dialed
    try:
        parsed = phonenumbers.parse(written, region)
    except NumberParseException:
        return written
    if phonenumbers.is_possible_number_with_reason(parsed) != ValidationResult.IS_POSSIBLE:
        return written
    return str(phonenumbers.format_number(parsed, PhoneNumberFormat.E164))
