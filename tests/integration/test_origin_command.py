"""`rempart.examine`, in its child processes, and the real `rempart origin`, as a person or a program meets it."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import rempart
from rempart.errors import Reason
from rempart.prompts import PromptScreener
from rempart.provenance import examine as examining
from rempart.provenance import examine_child
from rempart.provenance.evidence import Declared, Evidence, Location, PriorityEffect, Setup, Strength
from rempart.provenance.examine import examine, examine_files
from rempart.provenance.fields import FileView, Limits

COMMAND = [str(Path(sys.executable).with_name("rempart"))]
# In the canary packs this joins what a rule forbids together; in any other it is an odd night at the zoo.
REFUSED = "a quiet Zebra under a lantern, aged 9"
PARAMETERS = (
    "a lighthouse at dusk, oil painting\nNegative prompt: fog bank\n"
    "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1234, Size: 64x48, Model hash: 0123456789, Model: harbour, "
    "Version: v1.10.1"
)

Draw = Callable[..., Image.Image]
Result = subprocess.CompletedProcess[bytes]
Make = Callable[..., Path]


def origin(*arguments: str | Path, **environment: str) -> Result:
    """Run `rempart origin` to its end, with canary packs."""
    return subprocess.run(
        [*COMMAND, "origin", *arguments],
        capture_output=True,
        check=False,
        timeout=60,
        env=os.environ | {"REMPART__PROMPTS__PACKS": "canary"} | environment,
    )


def rows(result: Result) -> list[dict[str, Any]]:
    """The NDJSON rows of a result."""
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def make(tmp_path: Path, lighthouse: Draw) -> Make:
    """A function that writes a PNG with texts in it: ``make(name, key=text)``."""

    def written(name: str, **texts: str) -> Path:
        info = PngInfo()
        for key, text in texts.items():
            info.add_itxt(key, text)
        path = tmp_path / name
        lighthouse((64, 48)).save(path, pnginfo=info)
        return path

    return written


def test_a_generated_picture_says_so_and_its_prompt_is_hidden(make: Make) -> None:
    """In a pipe: NDJSON, exit 0, the file's facts, nothing of the prompt."""
    path = make("dusk.png", parameters=PARAMETERS)
    result = origin(path)
    (row,) = rows(result)
    assert result.returncode == 0
    assert row["path"] == str(path)
    assert row["file"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (row["file"]["size"], row["file"]["format"]) == (path.stat().st_size, "png")
    assert (row["summary"]["declared"], row["summary"]["support"]) == ("ai_generated", "unsigned_structured")
    assert row["summary"]["by"] == "unsigned"
    assert row["summary"]["priority_effect"] == "none"
    assert row["completeness"] == "complete"
    for secret in (b"lighthouse at dusk", b"fog bank", b"harbour"):
        assert secret not in result.stdout.replace(os.fsencode(str(path)), b"") + result.stderr
    assert result.stderr.decode().startswith("examined: given 1 · ai_generated 1 · ")


def test_prompts_are_shown_when_asked_for(make: Make) -> None:
    """As they stand in the file."""
    (row,) = rows(origin("--show-prompts", make("dusk.png", parameters=PARAMETERS)))
    (setup,) = [one["setup"] for one in row["evidence"] if one["setup"]]
    assert (setup["prompt"], setup["negative"]) == ("a lighthouse at dusk, oil painting", "fog bank")
    assert not row["is_redacted"]


def test_a_refused_prompt_raises_and_is_not_repeated(make: Make) -> None:
    """It is told where it stands, and by what it was screened."""
    path = make("zoo.png", parameters=PARAMETERS.replace("a lighthouse at dusk, oil painting", REFUSED))
    result = origin(path)
    (row,) = rows(result)
    (alarm,) = [one for one in row["evidence"] if one["kind"] == "prompt.screen"]
    assert (alarm["caveat"], alarm["cues"]) == ("prompt_refused", ["prompt_refused"])
    assert alarm["location"]["field"] == "parameters"
    assert row["summary"]["priority_effect"] == "raise"
    assert row["summary"]["declared"] == "ai_generated"
    assert row["environment"]["prompt_packs"]
    assert result.returncode == 0
    assert "ebra" not in result.stdout.decode() + result.stderr.decode()
    assert "a reason to look at it earlier" in row["explanation"]


def test_a_prompt_that_is_too_long_to_be_screened_raises_too(make: Make) -> None:
    """Nobody can say what is in it."""
    long = "a lighthouse at dusk, " * 400
    report = examine(make("long.png", parameters=PARAMETERS.replace("a lighthouse at dusk", long)))
    (alarm,) = [one for one in report.evidence if one.kind == "prompt.screen"]
    assert alarm.caveat == "prompt_unscreened"
    assert report.summary.priority_effect is PriorityEffect.RAISE


def test_a_model_name_is_screened_with_the_prompt(make: Make) -> None:
    """Names carry meaning."""
    text = PARAMETERS.replace("a lighthouse at dusk, oil painting", "under a lantern")
    screener = PromptScreener("canary")
    named = text.replace("Model: harbour", "Model: quiet zebra")
    assert examine(make("a.png", parameters=text), screener=screener).cues == ()
    assert examine(make("b.png", parameters=named), screener=screener).cues == ("prompt_refused",)


def test_a_plain_picture_says_nothing_and_that_means_nothing(make: Make) -> None:
    """In the fixed words, in either language."""
    (row,) = rows(origin(make("plain.png")))
    assert row["summary"]["declared"] == "none"
    assert row["explanation"] == ["no evidence of origin found; this is normal and means nothing"]
    (french,) = rows(origin("--lang", "fr", make("plain.png")))
    assert french["explanation"] == ["aucun élément sur l'origine n'a été trouvé ; c'est normal et ne signifie rien"]


def test_folders_missing_and_unreadable_files_are_all_accounted_for(make: Make, tmp_path: Path) -> None:
    """In the order of the input; what cannot be examined is never "nothing found", and makes exit 3."""
    (tmp_path / "scans").mkdir()
    make("scans/b.png", parameters=PARAMETERS)
    make("scans/a.png")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "note.jpg").write_text("Dear reader, this is not a picture.", encoding="utf-8")
    os.mkfifo(tmp_path / "pipe.jpg")
    names = ("missing.png", "empty.jpg", "note.jpg", "pipe.jpg")
    result = origin(tmp_path / "scans", *(tmp_path / name for name in names))
    told = [(Path(row["path"]).name, row["summary"]["declared"], row["reason"]) for row in rows(result)]
    assert told == [
        ("a.png", "none", None),
        ("b.png", "ai_generated", None),
        ("missing.png", "unreadable", "missing"),
        ("empty.jpg", "unreadable", "empty"),
        ("note.jpg", "unreadable", "unknown_format"),
        ("pipe.jpg", "unreadable", "not_a_file"),
    ]
    assert result.returncode == 3
    assert "given 6 · ai_generated 1 · none 1 · unreadable 4 (empty 1, missing 1, " in result.stderr.decode()
    only_missing = origin(tmp_path / "missing.png")
    assert only_missing.returncode == 2
    assert "no usable input" in only_missing.stderr.decode()


def test_a_name_that_announces_another_format_is_told(make: Make, tmp_path: Path) -> None:
    """By the first bytes, and only for endings that mean something."""
    path = make("picture.png")
    for name, mismatch in (("picture.jpg", True), ("picture.PNG", False), ("picture", False), ("picture.scan", False)):
        copy = tmp_path / name
        copy.write_bytes(path.read_bytes())
        assert examine(copy).file.format_mismatch is mismatch, name
    assert not examine(path.read_bytes()).file.format_mismatch


def test_texts_of_a_file_cannot_lead_a_terminal_or_a_spreadsheet_astray(make: Make) -> None:
    """Escape sequences, changes of direction and formulas, in every form, prompts shown."""
    prompt = "=HYPERLINK(1) \x1b[31mlighthouse\x1b]0;x\x07 \u202edusk\u200b \x9b2J"
    path = make("=1+1.png", parameters=PARAMETERS.replace("a lighthouse at dusk, oil painting", prompt))
    for form in ("table", "json", "ndjson", "csv"):
        text = subprocess.run(
            [*COMMAND, "origin", "--show-prompts", "--format", form, path.name],
            capture_output=True,
            check=True,
            cwd=path.parent,
            env=os.environ | {"COLUMNS": "300", "REMPART__PROMPTS__PACKS": "canary"},
        )
        shown = text.stdout.decode()
        assert "HYPERLINK" in shown, form
        assert all(char.isprintable() or char == "\n" for char in shown), form
        if form == "csv":
            (row,) = csv.DictReader(io.StringIO(shown))
            assert (row["path"], row["prompt"][:12]) == ("'=1+1.png", "'=HYPERLINK(")
        if "json" in form:
            told = json.loads(shown)
            (row,) = told if form == "json" else [told]
            assert [one["setup"]["prompt"] for one in row["evidence"] if one["setup"]] == [prompt]


def test_a_generator_and_a_camera_in_one_file_contradict_each_other(tmp_path: Path, lighthouse: Draw) -> None:
    """Whichever was pasted: a victim's photograph made to look synthetic is not to be looked at later."""
    camera = Image.Exif()
    camera[0x010F], camera[0x0110] = "Canon", "Canon EOS REBEL T3"
    exposure = camera.get_ifd(0x8769)
    exposure[0x829A], exposure[0x829D], exposure[0x8827], exposure[0x920A] = 0.008, 5.6, 100, 35.0
    plain, forged, told = (tmp_path / f"{name}.jpg" for name in ("plain", "forged", "told"))
    lighthouse((64, 48)).save(plain, exif=camera)
    exposure[0x9286] = b"UNICODE\0" + PARAMETERS.encode("utf-16-be")
    lighthouse((64, 48)).save(forged, exif=camera)
    assert examine(plain).summary.declared in {Declared.CAPTURE, Declared.OTHER_DECLARED}
    report = examine(forged)
    assert report.summary.declared is Declared.CONFLICT
    assert report.summary.priority_effect is PriorityEffect.RAISE
    assert not report.summary.suggests_generative_ai
    # A prompt that names a camera is no camera.
    naming = Image.Exif()
    text = PARAMETERS.replace("a lighthouse at dusk", "a lighthouse, photo taken with nikon d750")
    naming.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode("utf-16-be")
    lighthouse((64, 48)).save(told, exif=naming)
    assert examine(told).summary.declared is Declared.AI_GENERATED


def test_every_form_says_the_same(make: Make) -> None:
    """The table is for eyes: what a picture may have begun as, and every finding."""
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "harbour.png"}},
        "2": {"class_type": "VAEEncode", "inputs": {"pixels": ["1", 0], "vae": ["4", 2]}},
        "3": {
            "class_type": "KSampler",
            "inputs": {"latent_image": ["2", 0], "positive": ["5", 0], "negative": ["6", 0], "model": ["4", 0]},
        },
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "harbour.safetensors"}},
        "5": {"class_type": "CLIPTextEncode", "inputs": {"text": "a lighthouse", "clip": ["4", 1]}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "fog", "clip": ["4", 1]}},
        "7": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "8": {"class_type": "SaveImage", "inputs": {"images": ["7", 0]}},
    }
    graph["3"]["inputs"] |= {"seed": 7, "steps": 20, "cfg": 7.0, "sampler_name": "euler", "denoise": 0.4}
    path = make("graph.png", prompt=json.dumps(graph))
    (row,) = rows(origin(path))
    assert row["summary"]["declared"] == "ai_composite"
    assert row["summary"]["real_basis"]
    assert row["explanation"][0] == "a real picture may have been the starting point"
    table = " ".join(origin("--format", "table", path, COLUMNS="1000").stdout.decode().split())
    assert "a real picture may have been the starting point" in table
    assert "AI composite" in table
    (line,) = csv.DictReader(io.StringIO(origin("--format", "csv", path).stdout.decode()))
    assert (line["declared"], line["priority_effect"], line["real_basis"]) == ("ai_composite", "raise", "yes")
    assert "load_image" in line["cues"]
    assert json.loads(origin("--format", "json", path).stdout) == [row]


def test_on_a_terminal_there_is_a_table(make: Make) -> None:
    """And a pipe gets NDJSON."""
    path = make("dusk.png", parameters=PARAMETERS)
    terminal, inside = pty.openpty()
    environment = os.environ | {"COLUMNS": "160", "TERM": "dumb"}
    process = subprocess.Popen([*COMMAND, "origin", str(path)], stdout=inside, stderr=inside, env=environment)
    os.close(inside)
    shown = b""
    with contextlib.suppress(OSError):  # so a terminal says that its other side has gone
        while part := os.read(terminal, 1 << 16):
            shown += part
    os.close(terminal)
    assert process.wait(timeout=60) == 0
    assert "│" in shown.decode()
    assert "declared: AI-generated; support: unsigned fields; by: unsigned" in shown.decode()
    assert "lighthouse" not in shown.decode()


def test_help_ends_with_an_example_that_runs(make: Make) -> None:
    """As every command's does."""
    text = subprocess.run([*COMMAND, "origin", "--help"], capture_output=True, check=True, text=True).stdout
    assert text.rstrip().splitlines()[-1].strip() == "rempart origin holiday.jpg scans/ > origin.ndjson"
    folder = make("holiday.jpg").parent
    (folder / "scans").mkdir()
    example = f"{COMMAND[0]} origin holiday.jpg scans/ > origin.ndjson"
    subprocess.run(["/bin/sh", "-c", example], check=True, cwd=folder)
    assert len((folder / "origin.ndjson").read_text(encoding="utf-8").splitlines()) == 1


def test_a_file_is_only_read(make: Make) -> None:
    """Neither its bytes nor its times change."""
    path = make("dusk.png", parameters=PARAMETERS)
    path.chmod(0o400)
    before = path.read_bytes(), path.stat().st_mtime_ns
    examine(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_a_path_and_its_content_give_the_same_report(make: Make) -> None:
    """Text, path objects, bytes."""
    path = make("dusk.png", parameters=PARAMETERS)
    content = path.read_bytes()
    reports = {examine(source).to_json() for source in (path, str(path), content, bytearray(content))}
    assert len(reports) == 1
    assert rempart.examine is examine


def test_many_files_come_back_in_order_and_what_came_before_does_not_matter(make: Make) -> None:
    """The same file gives the same report, whichever was examined before it."""
    paths = [make("a.png", parameters=PARAMETERS), make("b.png"), make("c.png", Software="NovelAI"), make("d.png")]
    alone = {path: examine(path) for path in paths}
    order = [paths[at] for at in (3, 0, 1, 0, 2, 3, 1, 2, 0, 1)]
    assert [(path, report) for path, report in examine_files(order)] == [(path, alone[path]) for path in order]


def test_a_file_beyond_the_limit_is_read_at_its_beginning_and_has_its_digest(make: Make) -> None:
    """It is incomplete, and says why."""
    path = make("dusk.png", parameters=PARAMETERS)
    path.write_bytes(path.read_bytes() + b"\0" * 100_000)
    report = examine(path, limits=Limits(file_bytes=50_000))
    assert report.file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (report.file.size, report.completeness) == (path.stat().st_size, "partial")
    assert "file_bytes" in report.limits_hit
    assert report.summary.declared is Declared.AI_GENERATED


def test_a_child_that_misbehaves_makes_the_file_unreadable_and_it_still_has_its_digest(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash is never "nothing found"."""
    path = make("dusk.png", parameters=PARAMETERS)
    monkeypatch.setattr(examining, "_ANSWER_BYTES", 10)  # so that its answer is more than was agreed
    report = examine(path)
    assert (report.summary.declared, report.reason) == (Declared.UNREADABLE, Reason.CRASH)
    assert (report.completeness, report.evidence[0].caveat) == ("partial", "file_unread")
    assert report.file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "could not be examined (crash)" in report.explain()
    monkeypatch.undo()
    assert examine(path).summary.declared is Declared.AI_GENERATED


def test_a_reader_that_fails_leaves_a_record_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error's kind is told; its text may quote the file."""

    def broken(*_: object) -> list[Evidence]:
        raise ValueError("a lighthouse at dusk")

    monkeypatch.setattr(examine_child.camera, "evidence", broken)
    view = FileView(format="png", content=b"", size=0, failures=("png: bad length",))
    found = list(examine_child.read(view, examine_child.ExamineOptions(pixels=False)))
    assert [one.excerpt for one in found if one.kind == "reader.failure"] == ["png: bad length", "camera: ValueError"]


def test_half_characters_in_a_prompt_do_not_stop_the_report() -> None:
    """JSON can write them, and no encoding holds them."""
    half = Evidence(
        kind="comfy.graph",
        claim="generator_present",
        strength=Strength.UNSIGNED_STRUCTURED,
        caveat="unsigned_payload",
        location=Location(container="png.tEXt"),
        setup=Setup(prompt="a lighthouse \ud800 at dusk"),
    )
    whole = examine_child._sendable(half)
    assert whole.setup is not None
    assert whole.setup.prompt == "a lighthouse ? at dusk"
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(whole), type=Evidence) == whole
