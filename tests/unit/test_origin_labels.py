"""Labels and services: standard source types, AI fields, China's label, and programs that name themselves."""

from __future__ import annotations

import base64
import html
import json
import time

import pytest
from tests.unit.origin_views import AWAY, PROMPT, field, found, only, texts, view

from rempart.provenance.detectors import detect
from rempart.provenance.detectors.labels import TERMS
from rempart.provenance.evidence import Setup, Strength
from rempart.provenance.fields import Field, FileView

URI = "http://cv.iptc.org/newscodes/digitalsourcetype/"
UUID = "4800156b-8880-4786-9056-7ca3da449d8c"


def xmp(**said: str) -> FileView:
    """A JPEG with XMP properties; two underscores stand for the colon."""
    return view(*(field(name.replace("__", ":"), text, "xmp") for name, text in said.items()), kind="jpeg")


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("form", ["http://{}", "https://{}", "{}/", " {} ", "digsrctype:{}", "{}"])
def test_every_term_of_iptc_is_told_as_it_is_spelt(term: str, form: str) -> None:
    """However its place is written."""
    said = form.format(term if "dig" in form else URI.removeprefix("http://") + term)
    record = only(xmp(Iptc4xmpExt__DigitalSourceType=said))
    assert (record.kind, record.claim, record.caveat) == ("iptc.dst", term, "iptc_term")
    assert record.strength == Strength.UNSIGNED_LABEL
    assert record.excerpt == said


@pytest.mark.parametrize(
    ("said", "claim", "caveat"),
    [
        (URI + "compositedWithTrainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "iptc_term"),
        (URI + "TRAINEDALGORITHMICMEDIA", "trainedAlgorithmicMedia", "iptc_term"),
        (URI + "somethingNew", "somethingNew", "iptc_unknown_term"),
        ("http://c2pa.org/digitalsourcetype/trainedAlgorithmicData", "trainedAlgorithmicData", "iptc_term"),
    ],
)
def test_misspelt_and_unknown_terms(said: str, claim: str, caveat: str) -> None:
    """Old spellings are known; a term that is not is told as given."""
    record = only(xmp(iptcExt__DigitalSourceFileType=said))
    assert (record.claim, record.caveat) == (claim, caveat)


def test_an_empty_source_type_says_nothing_and_two_say_two_things() -> None:
    """Each term once."""
    assert found(xmp(Iptc4xmpExt__DigitalSourceType=" / ")) == []
    both = xmp(Iptc4xmpExt__DigitalSourceType=URI + "digitalCapture", iptcExt__DigitalSourceType=URI + "composite")
    assert [one.claim for one in found(both)] == ["digitalCapture", "composite"]


def test_the_ai_fields_are_one_record() -> None:
    """System, version and prompt; the writer of the prompt is a person, and no generator."""
    record = only(
        xmp(
            Iptc4xmpExt__AIPromptWriterName="A. Keeper",
            Iptc4xmpExt__AIPromptInformation=PROMPT,
            Iptc4xmpExt__AISystemUsed="Tower",
            Iptc4xmpExt__AISystemVersionUsed="2",
        )
    )
    assert (record.kind, record.claim, record.generator) == ("iptc.ai_fields", "generator_present", "Tower 2")
    assert record.setup == Setup(software="Tower", version="2", prompt=PROMPT)
    assert found(xmp(Iptc4xmpExt__AISystemUsed=" ")) == []


LABEL = {"Label": "1", "ContentProducer": "00191110000000000000000000", "ProduceID": "t1"}
CLAIMS = [
    ("1", "generator_present", "tc260_generated"),
    ("2", "possibly_generated", "tc260_possible"),
    ("3", "suspected_generated", "tc260_suspected"),
    ("4", "none", "tc260_unclear"),
    ("", "none", "tc260_unclear"),
]


def labelled(form: str, label: object) -> FileView:
    """A file that carries a label in one of its forms."""
    said = json.dumps(LABEL | {"Label": label})
    bare = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + b"x" * 500 + b"AIGC" + said.encode() + b"\xff\xd9" * 9
    return {
        "attribute": xmp(TC260__AIGC=said),
        "escaped": xmp(TC260__AIGC=html.escape(said)),
        "other prefix": xmp(ns1__AIGC=said),
        "keyword": view(field("AIGC", said)),
        "comment": view(field("UserComment", json.dumps({"AIGC": json.loads(said)}), "exif.Exif"), kind="jpeg"),
        "text in text": view(field("UserComment", json.dumps({"AIGC": said}), "exif.Exif"), kind="jpeg"),
        "beginning": view(field("UserComment", "AIGC" + said, "exif.Exif"), kind="jpeg"),
        "prefix": view(field("", "AIGC: " + said, "jpeg.COM"), kind="jpeg"),
        "video": view(field("AIGC", said, "bmff.udta"), kind="mp4"),
        "bare": view(kind="jpeg", content=bare),
    }[form]


@pytest.mark.parametrize(("label", "claim", "caveat"), CLAIMS)
@pytest.mark.parametrize(
    "form",
    [
        *("attribute", "escaped", "other prefix", "keyword", "comment", "text in text", "beginning", "prefix"),
        *("video", "bare"),
    ],
)
def test_chinas_labels_are_three_different_words(form: str, label: str, claim: str, caveat: str) -> None:
    """In every form; a number is as good as a text, and a label that is none of the three is told and says nothing."""
    for said in (label, int(label)) if label else (label,):
        record = only(labelled(form, said))
        assert (record.kind, record.claim, record.caveat) == ("tc260.label", claim, caveat)
        assert record.strength == Strength.UNSIGNED_LABEL
        assert record.generator == LABEL["ContentProducer"]
        assert record.location.offset == (515 if form == "bare" else -1)


def test_what_only_looks_like_a_label_is_none() -> None:
    """Another Label, a word in a text, bytes that say no more."""
    assert found(view(field("UserComment", json.dumps({"Label": "1"}), "exif.Exif"))) == []
    assert found(view(field("Description", "AIGC is a word"))) == []
    assert found(view(kind="jpeg", content=b"AIGC{" * 50_000)) == []
    assert found(view(kind="jpeg", content=b"AIGC" + b'{"a":' * 4_000)) == []


def test_a_label_in_bytes_takes_little_time() -> None:
    """Brackets that never close, and many beginnings."""
    for content in (b"AIGC{" * 52_000, b"AIGC" + b"{" * 250_000, b"AIGC{}" * 43_000):
        begin = time.process_time()
        detect(view(kind="jpeg", content=content))
        assert time.process_time() - begin < 0.2


@pytest.mark.parametrize(
    ("name", "said", "software"),
    [
        ("Make", "Ideogram AI", "Ideogram"),
        ("Software", "NovelAI", "NovelAI"),
        ("Software", "Reve", "Reve"),
        ("xmp:CreatorTool", "Draw Things", "Draw Things"),
        ("xmp:CreatorTool", "Adobe Firefly", "Adobe Firefly"),
        ("Software", "Stable Diffusion XL 1.0", "Stable Diffusion"),
        ("Software", "midjourney v6.1", "Midjourney"),
        ("Software", "ComfyUI/0.3.1", "ComfyUI"),
    ],
)
def test_programs_that_name_themselves_are_labels(name: str, said: str, software: str) -> None:
    """In the tags of software and camera."""
    record = only(view(field(name, said, "xmp" if ":" in name else "exif.IFD0"), kind="jpeg"))
    assert (record.kind, record.claim, record.generator) == ("exif.generator", "generator_present", said)
    assert record.strength == Strength.UNSIGNED_LABEL
    assert record.setup == Setup(software=software)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Make", "Canon"),
        ("Make", "Firefly"),
        ("Software", "Adobe Photoshop 26.0"),
        ("Software", "GIMP 3.0.6"),
        ("Software", "Imagen"),
        ("Software", "Reverse engineered"),
        ("Software", "not made by Midjourney"),
        ("Artist", "Reve"),
        ("Artist", "ai"),
        ("ImageDescription", "Midjourney"),
        ("photoshop:Credit", "A. Keeper"),
        ("ImageDescription", "A picture Made with Google AI by nobody"),
    ],
)
def test_names_of_others_are_none(name: str, said: str) -> None:
    """Cameras, editors, persons, and sentences that hold a name."""
    assert found(view(field(name, said, "exif.IFD0"), kind="jpeg")) == []


@pytest.mark.parametrize(
    ("said", "cues"),
    [("Made with Google AI", ()), ("Made with Google AI.", ()), ("Edited with Google AI", ("edited_picture",))],
)
def test_googles_credit_line(said: str, cues: tuple[str, ...]) -> None:
    """What was edited was there before."""
    record = only(xmp(photoshop__Credit=said))
    assert (record.kind, record.claim, record.cues) == ("google.credit", "generator_present", cues)


def test_midjourneys_description_ends_with_the_jobs_id() -> None:
    """With a name, or the same id in XMP, it is whole. A camera that the prompt names is no camera."""
    said = f"{PROMPT}, photo taken with nikon d750 --v 6.1 --seed 7 --no {AWAY} Job ID: {UUID}"
    record = only(view(field("Description", said), field("Author", "keeper")))
    assert (record.kind, record.claim, record.strength) == (
        "midjourney.description",
        "generator_present",
        Strength.UNSIGNED_STRUCTURED,
    )
    assert record.setup is not None
    assert record.setup.prompt == f"{PROMPT}, photo taken with nikon d750"
    assert (record.setup.version, record.setup.seed) == ("6.1", "7")
    assert only(view(field("Description", said))).strength == Strength.UNSIGNED_LABEL
    same = field("Iptc4xmpExt:DigImageGUID", UUID, "xmp")
    other = field("Iptc4xmpExt:DigImageGUID", UUID.replace("4", "5"), "xmp")
    assert only(view(field("Description", said), same)).strength == Strength.UNSIGNED_STRUCTURED
    assert only(view(field("Description", said), other)).strength == Strength.UNSIGNED_LABEL
    given = only(
        view(field("Description", f"https://s.example/quay.png {PROMPT} --cref https://s.example/a Job ID: {UUID}"))
    )
    assert set(given.cues) == {"init_image", "ip_adapter"}
    assert given.setup is not None
    assert given.setup.files == ("https://s.example/quay.png", "https://s.example/a")


def test_groks_signature_is_told_and_not_verified() -> None:
    """It takes both: the line, and an artist that is a UUID."""
    line = "Signature: " + base64.b64encode(bytes(range(224))).decode()
    file = [field("ImageDescription", line, "exif.IFD0"), field("UserComment", line, "exif.Exif")]
    record = only(view(*file, field("Artist", UUID, "exif.IFD0"), kind="jpeg"))
    assert (record.kind, record.caveat, record.generator) == ("grok.signature", "unverifiable_signature", "xAI Grok")
    assert found(view(*file, field("Artist", "A. Keeper", "exif.IFD0"), kind="jpeg")) == []


def test_samsungs_trailer_says_that_a_picture_was_edited() -> None:
    """In the field of what stands behind the end, or in the bytes; type 0 says nothing."""
    tail = b'\0\0\x91\r\x08\0\0\0PEg_Info{"genImageVersion":"v1","genAIType":8}SEFH'
    trailer = Field(container="trailer", name="png", data=tail, offset=1000)
    record = only(view(trailer))
    assert (record.kind, record.claim, record.cues) == ("samsung.trailer", "generator_present", ("edited_picture",))
    assert record.generator.endswith("genAIType 8")
    assert record.location.offset == 1000 + tail.index(b"PEg_Info")
    assert only(view(content=b"x" * 5000 + tail)).location.offset == 5000 + tail.index(b"PEg_Info")
    assert found(view(content=tail.replace(b"8}", b"0}"))) == []
    assert found(view(content=tail.replace(b"}", b"("))) == []


def test_a_hosts_marker_says_nothing_of_what_made_the_picture() -> None:
    """Jobs of all kinds run there."""
    record = only(texts(**{"hf-job-id": UUID}))
    assert (record.kind, record.claim, record.caveat) == ("host.marker", "host_present", "host_marker")


def test_bytedances_own_note() -> None:
    """A type above 0, or a source that is a generator."""
    for said, software in (
        ({"aigc_label_type": 0, "source_info": "dreamina"}, "dreamina"),
        ({"aigc_label_type": 1}, "ByteDance"),
    ):
        record = only(view(field("UserComment", json.dumps({"aigc_info": said}), "exif.Exif")))
        assert (record.claim, record.generator) == ("generator_present", software)
    assert found(view(field("UserComment", json.dumps({"aigc_info": {"aigc_label_type": 0}}), "exif.Exif"))) == []


NOVELAI = {"prompt": PROMPT, "uc": AWAY, "steps": 23, "width": 512, "height": 768, "seed": 7, "sampler": "k_euler"}
OWN = {"noise_schedule": "karras", "request_type": "PromptGenerateRequest", "signed_hash": "AA=="}


def test_novelais_texts_are_one_payload() -> None:
    """As chunks of PNG, and packed into one text in other formats."""
    said = {
        "Title": "x",
        "Description": PROMPT,
        "Source": "NovelAI Diffusion V4.5",
        "Comment": json.dumps(NOVELAI | OWN),
    }
    packed = view(field("UserComment", json.dumps(said | {"Software": "NovelAI"}), "exif.Exif"), kind="webp")
    for file in (texts(**said), packed):
        record = found(file)[0]
        assert (record.kind, record.strength) == ("novelai.comment", Strength.UNSIGNED_STRUCTURED)
        setup = record.setup
        assert setup is not None
        assert (setup.prompt, setup.negative, setup.seed, setup.sampler) == (PROMPT, AWAY, "7", "k_euler")
        assert (setup.version, setup.width, setup.height) == ("NovelAI Diffusion V4.5", 512, 768)
        assert record.cues == ()


@pytest.mark.parametrize(
    ("more", "cues"),
    [
        ({"request_type": "Img2ImgRequest"}, ("img2img",)),
        ({"request_type": "NativeInfillingRequest"}, ("inpaint",)),
        ({"request_type": "SomethingNew"}, ("load_image",)),
        ({"director_reference_strengths": [1.0]}, ("director_reference",)),
        ({"extra_passthrough_testing": {"director_reference_images": ["AA"]}}, ("director_reference",)),
        ({"reference_strength_multiple": [0.6]}, ("ip_adapter",)),
        ({"controlnet_model": "depth"}, ("controlnet",)),
        ({"reference_strength_multiple": [], "controlnet_model": None}, ()),
    ],
)
def test_novelais_cues(more: dict[str, object], cues: tuple[str, ...]) -> None:
    """Another request than one of a prompt alone, or anything that guided it."""
    assert only(texts(Comment=NOVELAI | OWN | more)).cues == cues


def test_persons_of_a_novelai_prompt_are_part_of_it() -> None:
    """Each is a prompt of its own."""
    persons = {"caption": {"base_caption": PROMPT, "char_captions": [{"char_caption": "a keeper"}, 7]}}
    record = only(texts(Comment=NOVELAI | OWN | {"v4_prompt": persons}))
    assert record.setup is not None
    assert record.setup.prompt == f"{PROMPT}\na keeper"
