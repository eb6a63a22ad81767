"""Party keys: spellings of one party, and of different ones."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warehouse.people.party_key import REGIONS, build_party_key, find_extension, is_phone_number

ONE_NUMBER = (
    "+14085550123",
    "14085550123",
    "4085550123",
    "(408) 555-0123",
    "408.555.0123",
    "408-555-0123",
    "1 (408) 555-0123",
    "+1 408 555 0123",
    "tel:+1-408-555-0123",
    "tel:+1-408-555-0123;ext=12",
    "sip:+14085550123@phone.example;transport=udp",
    "00 1 408 555 0123",
    "011 1 408 555 0123",
    "+1 408 555 0123 ext. 12",
    "408-555-0123 x12",
    "'+14085550123",
    " +14085550123\u200b",
    "\u202a+1 408-555-0123\u202c",
    "4085550123".translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)}),
    "+1 408\u2011555\u20110123",
)


@pytest.mark.parametrize("spelling", ONE_NUMBER)
def test_spellings_of_one_number_have_one_key(spelling: str) -> None:
    assert build_party_key(spelling, "US") == "+14085550123"


@pytest.mark.parametrize(
    ("party", "region", "key"),
    [
        ("0176 1234567", "DE", "+491761234567"),
        ("+49 (0)176 1234567", "US", "+491761234567"),
        ("0049 176 1234567", "US", "+491761234567"),
        ("020 7946 0958", "GB", "+442079460958"),
        ("01 42 68 53 00", "FR", "+33142685300"),
        ("06 1234 5678", "IT", "+390612345678"),
    ],
)
def test_national_spellings_are_read_in_the_region(party: str, region: str, key: str) -> None:
    assert build_party_key(party, region) == key


@pytest.mark.parametrize(
    ("party", "key"),
    [
        ("22000", "22000"),
        ("222-00", "22200"),
        ("+22000", "22000"),
        ("911", "911"),
        ("MyBank", "mybank"),
        ("1-800-FLOWERS", "1-800-flowers"),
        ("anonymous", "anonymous"),
        (" Anonymous", "anonymous"),
        ("Ann@Clinic.Example", "ann@clinic.example"),
        ("mailto:ann@clinic.example", "ann@clinic.example"),
        ("14085550100@clinic.example", "14085550100@clinic.example"),
        ("sip:Ann@Clinic.example;transport=udp", "ann@clinic.example"),
        ("5550123", "5550123"),
        ("+9991234567", "+9991234567"),
        ("", ""),
        ("-", "-"),
    ],
)
def test_what_is_no_phone_number_is_itself(party: str, key: str) -> None:
    assert build_party_key(party, "US") == key


def test_extensions_are_kept_apart() -> None:
    assert find_extension("+1 408 555 0123 ext. 12") == "12"
    assert find_extension("tel:+1-408-555-0123;ext=7") == "7"
    assert find_extension("(408) 555-0123") is None
    assert find_extension("ann@clinic.example") is None


def test_a_phone_number_is_told_by_its_country_code() -> None:
    assert is_phone_number(build_party_key("408 555 0123", "US"))
    assert not is_phone_number(build_party_key("22000", "US"))


EXAMPLES = [number for region in sorted(REGIONS) if (number := phonenumbers.example_number(region))]
regions = st.sampled_from(sorted(REGIONS))
valid_numbers = st.sampled_from(EXAMPLES)
formats = st.sampled_from(
    [
        phonenumbers.PhoneNumberFormat.E164,
        phonenumbers.PhoneNumberFormat.INTERNATIONAL,
        phonenumbers.PhoneNumberFormat.RFC3966,
    ]
)


@given(number=valid_numbers, form=formats, region=regions)
def test_an_international_spelling_has_one_key_in_every_region(
    number: phonenumbers.PhoneNumber, form: int, region: str
) -> None:
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    assert build_party_key(phonenumbers.format_number(number, form), region) == e164


@given(number=st.sampled_from([number for number in EXAMPLES if (number.national_number or 0) > 999_999]))
def test_a_national_spelling_has_the_key_of_its_number(number: phonenumbers.PhoneNumber) -> None:
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    region = phonenumbers.region_code_for_number(number)
    assert build_party_key(national, region) == e164


@given(one=st.integers(2_000_000_000, 9_999_999_999), other=st.integers(2_000_000_000, 9_999_999_999))
def test_two_numbers_in_e164_are_never_joined(one: int, other: int) -> None:
    keys = [build_party_key(f"+1{number}", "US") for number in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)


dialed = st.from_regex(r"(tel:|sip:)?[+(]?0{0,3}[0-9() .-]{1,14}( ?(x|ext|,)[0-9]{1,4})?(@[a-z]{2})?", fullmatch=True)


@given(party=st.text(max_size=30) | dialed, region=regions)
def test_the_key_of_a_key_is_itself(party: str, region: str) -> None:
    # So the equality is reflexive, symmetric and transitive, and keys may be compared with parties.
    key = build_party_key(party, region)
    assert build_party_key(key, region) == key


@given(digits=st.from_regex(r"[0-9]{3,15}", fullmatch=True), separators=st.lists(st.sampled_from(" -.()/"), min_size=3))
def test_separators_do_not_matter(digits: str, separators: list[str]) -> None:
    places = [len(digits) * place // len(separators) for place in range(len(separators))]
    spelled = "".join(
        "".join(sep for place, sep in zip(places, separators, strict=True) if place == number) + digit
        for number, digit in enumerate(digits)
    )
    assert build_party_key(spelled, "US") == build_party_key(digits, "US")
