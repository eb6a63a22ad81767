"""Legal holds match the numbers and logins that people type, and count what they cover."""

from datetime import date
from pathlib import Path

import pytest

from tests.support.raw_responses import call, create_folder, fold, response
from warehouse.retention.legal_holds import Hold, add_hold, count_matches


def is_held(typed: str, stored: str) -> bool:
    return Hold(number=1, counterparty=typed, since=date(2023, 4, 1)).holds({"from": stored})


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("0176 1234567", "+491761234567"),
        ("020 7946 0958", "+442079460958"),
        ("01 42 68 53 00", "+33142685300"),
        ("(408) 555-0100", "+14085550100"),
        ("408.555.0100 ext. 7", "+14085550100"),
        ("+14085550100", "4085550100 x12"),
        ("+14085550100;ext=12", "+1 408 555 0100"),
        ("555-0100", "+14085550100"),
        ("030 12345", "+493012345"),
        ("030 1234", "+49301234"),
        ("0761 23456", "+4976123456"),
        ("sip:+4917612345678@phone.example", "+4917612345678"),
        ("SIP:0176 12345678@phone.example;transport=udp", "+4917612345678"),
        ("sip:Ann@clinic.example;transport=udp", "ann@clinic.example"),
        ("tel:+1-408-555-0100;ext=7", "+14085550100"),
        ("sms:+14085550100", "(408) 555-0100"),
        ("(0123) 4567", "+441234567"),
        ("+14085550100,,5", "+14085550100"),
        ("0049 176 1234567", "+491761234567"),
        ("+262966", "262966"),
        ("262-966", "262966"),
        ("\uff14\uff10\uff18\uff15\uff15\uff15\uff10\uff11\uff10\uff10", "+14085550100"),
        ("٤٠٨٥٥٥٠١٠٠", "+14085550100"),
        ("Ann@Clinic.Example ", "ann@clinic.example"),
        ("\uff41\uff4e\uff4e@clinic.example", "ann@clinic.example"),
    ],
)
def test_a_number_matches_however_it_is_written(typed: str, stored: str) -> None:
    assert is_held(typed, stored)
    assert is_held(stored, typed)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("+14085550100", "+14085550101"),
        ("262966", "+14085262966"),
        ("262966", "162966"),
        ("030 1234", "301234"),
        ("0262966", "+14085262967"),
        ("12345", "+4930112345"),
        ("sip:14085550100@phone.example", "14085550100@phone.example"),
        ("ann@clinic.example", "bob@clinic.example"),
        ("14085550100@clinic.example", "+14085550100"),
        ("anonymous", "+14085550100"),
        ("+", "anonymous"),
    ],
)
def test_other_parties_do_not_match(typed: str, stored: str) -> None:
    assert not is_held(typed, stored)
    assert not is_held(stored, typed)


def test_matching_rows_are_counted(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    fold(folder, response([call("a"), call("b"), call("c", **{"from": "+14085550199", "userId": "bob"})], 1))
    today = date(2023, 4, 1)

    def count(**terms: str | None) -> dict[str, int]:
        chosen: dict[str, str | None] = {"account": None, "user": None, "counterparty": None, **terms}
        return count_matches(folder, add_hold(folder, **chosen, since=today, note=None))

    assert count(counterparty="(408) 123-1234") == {"usage": 2, "recordings": 0}
    assert count(user="bob") == {"usage": 1, "recordings": 0}
    assert count(account="default") == {"usage": 3, "recordings": 0}
    assert count(user="typo@clinic.example") == {"usage": 0, "recordings": 0}
