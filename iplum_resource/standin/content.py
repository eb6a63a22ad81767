"""What a text or fax says: an invented sentence, or the name of an attachment."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from iplum_resource.standin.identifiers import name_media

_ATTACHMENTS = ("jpg", "jpg", "jpg", "png", "mp4", "mp3")
_ATTACHED_OF_256 = 24
_SENTENCES = (
    "Hello",
    "Can I move my appointment to Thursday at 3?",
    "Thursday at 3 works, see you then.",
    'The form says "sign here" twice, is that right?',
    "Running 10 minutes late, sorry!",
    "Thank you so much 🙏😊",
    "Your lab results are in. Please call us back.",
    "First line\nsecond line\r\n\tand a tab",
    "",
    "  ",
    "¿Tienen citas el viernes? Señor Muñoz",
    "C:\\reports\\new.txt is the file I meant",
    "https://forms.outside.example/intake.pdf",
    "http://media.outside.example/af542549-527a-47c8-a183-b853455501c0.jpg",
    "See https://www.outside.example/directions for the way",
    "null",
    "123",
    '["not", "a", "list"]',
    "👩‍⚕️ will see you at 9:15",
    "Reply STOP to opt out.",
    "Is parking free?",
    "Yes, behind the building.",
    "Please bring your insurance card.",
    "OK 👍",
)


@dataclass(frozen=True, slots=True)
class Content:
    """A text, or the name of a media file; both are kept out of the repr."""

    text: str | None = field(default=None, repr=False)
    media_name: str | None = field(default=None, repr=False)


def parse_content(row: Mapping[str, str], *, seed: int) -> Content | None:
    """Tell what a usage row's text or fax holds, or None for a call.

    Both rows of an internal text hold the same: they agree in sender, receiver and start.
    """
    if row["usage"] == "call":
        return None
    key = f"{seed}:{row['from']}:{row['to']}:{row['startTimeUTC']}"
    if row["usage"] == "fax":
        return Content(media_name=name_media(key, "pdf", seed=seed))
    digest = hashlib.sha256(key.encode()).digest()
    if digest[0] < _ATTACHED_OF_256:
        return Content(media_name=name_media(key, _ATTACHMENTS[digest[1] % len(_ATTACHMENTS)], seed=seed))
    return Content(text=_SENTENCES[digest[2] % len(_SENTENCES)])
