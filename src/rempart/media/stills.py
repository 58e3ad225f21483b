"""Pictures through Pillow: every format but plain JPEG, and every frame or page that a decoder gives by itself."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Self

from PIL import Image, ImageFile

from rempart.errors import Reason
from rempart.media.normalise import Pixels, orientation_of, to_plain, turn_upright
from rempart.media.outcome import Refused

# Never opened: formats for which Pillow starts another program (EPS), or only knows that somebody else could (stubs).
_NEVER = frozenset(("EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"))
# Layers or sizes of one picture, not pictures that follow one another.
_ONE_PICTURE = frozenset(("psd", "ico", "icns", "cur"))
# Pictures that are found each by itself, so that one which is broken hides no other. What follows a broken frame of
# any other format is composed from it, or not reached: looking for it would only cost time.
_INDEPENDENT = frozenset(("tiff", "mpo", "heif", "dcx"))
_BROKEN_IN_A_ROW = 8
# No camera or scanner makes pictures as long as this, and hashing a strip takes time by its length, not its pixels.
LONGEST_SIDE = 100_000
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

    def __init__(
        self,
        data: bytes,
        format: str | None,  # noqa: A002 -- the field's word
        max_pixels: int,
        *,
        count: int | None = None,
        convert: Callable[[Image.Image], tuple[Pixels, list[str]]] = to_plain,
    ) -> None:
        """Open by content.

        Args:
            data: the whole file.
            format: what the first bytes announce; None when they announce nothing that is known.
            max_pixels: the most pixels that one frame may have.
            count: how many frames there are, when that is known already.
            convert: brings an opened picture to pixels, and says what that took.

        Raises:
            Refused: it is no picture, nothing of it can be opened, or it is beyond the limit.
        """
        self._data = data
        self._max_pixels = max_pixels
        self._convert = convert
        self._broken = 0
        self._failure = ""
        self.damage: Reason | None = None
        image = self._open(lenient=False)
        if image is None and format:
            # What only a lenient reader opens is damaged, and is compared as such.
            image, self.damage = self._open(lenient=True), Reason.DAMAGED
        if image is None:
            raise Refused(Reason.CORRUPT if format else Reason.UNKNOWN_FORMAT, format)
        self._image: Image.Image | None = image
        name = (image.format or "").lower()
        self.format = _NAMES.get(name, name)
        self.size = image.size
        if self._too_large(image):
            raise Refused(Reason.TOO_MANY_PIXELS, self.format, image.size)
        with self._switches(lenient=self.damage is not None):
            self._shown = self._number_of(image)
            self.count = count or self._count_frames(image)

    def frame(self, index: int) -> Frame | None:
        """Frame ``index``, strictly or else as much of it as decodes; None when nothing does.

        Number 0 is the one that viewers show first, which in HEIF may lie behind others.
        """
        if self._broken >= (_BROKEN_IN_A_ROW if self.format in _INDEPENDENT else 1):
            return None
        frame = self._strictly(index) or self._leniently(index)
        self._broken = 0 if frame else self._broken + 1
        return frame

    def _strictly(self, index: int) -> Frame | None:
        self._failure = ""
        lenient = self.damage is not None
        with _AnyFailure() as failure:
            if self._image is None:
                self._image = self._open(lenient=lenient)
            with self._switches(lenient=lenient):
                return self._load(self._image, index) if self._image else None
        self._failure = failure.text
        return None

    def _leniently(self, index: int) -> Frame | None:
        damage = Reason.TRUNCATED if "truncated" in self._failure else Reason.DAMAGED
        self._image = None  # a plugin's state is not to be trusted after it failed: the next frame opens anew
        image = self._open(lenient=True)
        if image is None:
            return None
        with _AnyFailure(), self._switches(lenient=True):
            frame = self._load(image, index)
            return frame._replace(damage=damage) if frame else None
        return None

    def _count_frames(self, image: Image.Image) -> int:
        if self.format in _ONE_PICTURE:
            return 1
        with _AnyFailure():
            return max(1, int(getattr(image, "n_frames", 1)))
        self.damage = Reason.DAMAGED
        return 1

    def _number_of(self, image: Image.Image) -> int:
        """The number that the picture which is shown first has inside the file."""
        return image.tell() if self.format == "heif" else 0

    def _open(self, *, lenient: bool) -> Image.Image | None:
        with _AnyFailure(), self._switches(lenient=lenient):
            Image.MAX_IMAGE_PIXELS = None  # our own limit is looked at instead, and can say the size
            return Image.open(io.BytesIO(self._data), formats=FORMATS)
        return None

    @contextmanager
    def _switches(self, *, lenient: bool) -> Iterator[None]:
        """Pillow's global switches as this picture wants them; to others who use Pillow they stay as they were."""
        before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        # Pillow refuses at twice this number; it guards what a container may hide (icons, for one).
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = self._max_pixels // 2, lenient
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before

    def _load(self, image: Image.Image, index: int) -> Frame | None:
        if index:
            image.seek(index - 1 if index <= self._shown else index)
        if self._too_large(image):
            return None
        # Pillow turns a TIFF while it loads, and forgets the orientation. Others are not asked before: some would load
        # for it, and what is wrong with them would not be noticed.
        told = orientation_of(image) if self.format == "tiff" else 1
        image.load()
        pixels, notes = self._convert(image)
        if not pixels.size:  # a side of no pixels, as APNG headers may say
            return None
        left = orientation_of(image)
        if (orientation := max(told, left)) != 1:
            notes.append(f"exif_orientation_{orientation}")
        return Frame(turn_upright(pixels, left), notes)

    def _too_large(self, image: Image.Image) -> bool:
        return too_large(image.size, self._max_pixels)


def too_large(size: tuple[int, int], max_pixels: int) -> bool:
    """Whether a picture of this width and height is beyond the limits."""
    return size[0] * size[1] > max_pixels or max(size) > LONGEST_SIDE


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
