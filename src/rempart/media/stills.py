"""Pictures through Pillow: every format but plain JPEG, and every frame or page of an item."""

from __future__ import annotations

import io
from typing import NamedTuple, Self

from PIL import Image, ImageFile

from rempart.errors import Reason
from rempart.media.normalise import Pixels, orientation_of, to_plain, turn_upright
from rempart.media.outcome import Refused

# Never opened: formats for which Pillow starts another program (EPS), or only knows that somebody else could (stubs).
_NEVER = frozenset(("EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"))
# Layers or sizes of one picture, not pictures that follow one another.
_ONE_PICTURE = frozenset(("psd", "ico", "icns", "cur"))
_NAMES = {"jpeg2000": "jp2", "dib": "bmp"}

try:
    import pi_heif
except ImportError:
    HAS_HEIF = False
else:
    pi_heif.register_heif_opener()
    HAS_HEIF = True

Image.init()
FORMATS = tuple(sorted(name for name in Image.OPEN if name not in _NEVER))


class Frame(NamedTuple):
    """One frame: upright pixels, what was done to them, and whether only a part of it decodes."""

    pixels: Pixels
    notes: list[str]
    damage: Reason | None = None


class Stills:
    """The frames of an item, by number.

    Pillow's plugins raise a dozen kinds of exception on broken files, so every call into them goes through
    :func:`_AnyFailure`; only MemoryError, which is about the machine and not about the file, passes.
    """

    def __init__(self, data: bytes, format: str | None, max_pixels: int) -> None:  # noqa: A002 -- the field's word
        """Open by content.

        Args:
            data: the whole file.
            format: what the first bytes announce; None when they announce nothing that is known.
            max_pixels: the most pixels that one frame may have.

        Raises:
            Refused: it is no picture, nothing of it can be opened, or it is beyond the limit.
        """
        self._data = data
        self._max_pixels = max_pixels
        self.damage: Reason | None = None
        image = self._open(lenient=False)
        if image is None and format:
            # What only a lenient reader opens is damaged, and is compared as such.
            image, self.damage = self._open(lenient=True), Reason.DAMAGED
        if image is None:
            raise Refused(Reason.CORRUPT if format else Reason.UNKNOWN_FORMAT, format)
        self._image = image
        name = (image.format or "").lower()
        self.format = _NAMES.get(name, name)
        self.size = image.size
        if self._too_large():
            raise Refused(Reason.TOO_MANY_PIXELS, self.format, image.size)
        # Pillow refuses at twice this number; it guards what a container may hide (icons, for one).
        Image.MAX_IMAGE_PIXELS = max_pixels // 2
        self.count = self._count_frames()

    def frame(self, index: int) -> Frame | None:
        """Frame ``index``, strictly or else as much of it as decodes; None when nothing does."""
        with _AnyFailure() as failure:
            return self._load(index, seek=index > 0)
        damage = Reason.TRUNCATED if "truncated" in failure.text else Reason.DAMAGED
        # A plugin's state is not to be trusted after it failed: open anew.
        image = self._open(lenient=True)
        if image is None:
            return None
        self._image = image
        with _AnyFailure():
            frame = self._load(index, seek=True)
            return frame._replace(damage=damage) if frame else None
        return None

    def _count_frames(self) -> int:
        if self.format in _ONE_PICTURE:
            return 1
        with _AnyFailure():
            return max(1, int(getattr(self._image, "n_frames", 1)))
        self.damage = Reason.DAMAGED
        return 1

    def _open(self, *, lenient: bool) -> Image.Image | None:
        Image.MAX_IMAGE_PIXELS = None  # our own limit is looked at instead, and can say the size
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient
        with _AnyFailure():
            return Image.open(io.BytesIO(self._data), formats=FORMATS)
        return None

    def _load(self, index: int, *, seek: bool) -> Frame | None:
        if seek:
            self._image.seek(index)
        if self._too_large():
            return None
        # Pillow turns a TIFF while it loads, and forgets the orientation. Others are not asked before: some would load
        # for it, and what is wrong with them would not be noticed.
        told = orientation_of(self._image) if self.format == "tiff" else 1
        self._image.load()
        pixels, notes = to_plain(self._image)
        left = orientation_of(self._image)
        if (orientation := max(told, left)) != 1:
            notes.append(f"exif_orientation_{orientation}")
        return Frame(turn_upright(pixels, left), notes)

    def _too_large(self) -> bool:
        return self._image.width * self._image.height > self._max_pixels


class _AnyFailure:
    """Swallows whatever a plugin raises but MemoryError, and keeps its lower-case text, which never leaves here."""

    text = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if isinstance(error, Exception) and not isinstance(error, MemoryError):
            self.text = str(error).lower()
            return True
        return False
