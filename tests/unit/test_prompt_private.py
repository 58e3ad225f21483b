"""An operator's own packs stay private: sealed or hashed, opened by the right key only, shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from rempart.errors import PackError
from rempart.prompts import Lexicon, load_lexicon
from rempart.prompts.fold import fold
from rempart.prompts.private import hash_pack, new_key, seal_pack
from rempart.prompts.tokens import tokenize
from rempart.settings import PrivatePacks

HEADER = '{"pack":"own","version":"1","concept":"minor","language":"en","source":"a test","licence":"none"}'
TERM = '{"id":"t1","class":"minor.explicit","strength":0.9,"forms":["heronry","grey heronry nest"]}'


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A fresh key."""
    path = tmp_path / "key"
    new_key(path)
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """An ordinary pack, to be made private."""
    path = tmp_path / "own.jsonl"
    path.write_text(f"{HEADER}\n{TERM}\n")
    return path


def load(raw: bytes, key: Path) -> Lexicon:
    """The canary lexicon with a private pack."""
    path = key.parent / "own.private"
    path.write_bytes(raw)
    return load_lexicon("canary", PrivatePacks(files=(str(path),), key_file=str(key)))


def found(lexicon: Lexicon, text: str) -> list[tuple[str, str, float]]:
    """Concept, raw text and strength of the hits."""
    folded = fold(text)
    hits = lexicon.find(tokenize(folded.text), folded)
    return [(hit.concept, text[hit.start : hit.end], hit.strength) for hit in hits]


@pytest.mark.parametrize("make", [seal_pack, hash_pack])
def test_private_words_are_found_beside_the_others(make: object, plain: Path, key: Path) -> None:
    """Single words and expressions, in the order of the text, and never in the file, a repr or the vocabulary."""
    assert callable(make)
    raw = make(plain, key)
    assert b"heron" not in raw
    lexicon = load(raw, key)
    text = "Zebra, HERONRY and a grey-heronry nest, lamp"
    assert [hit[:2] for hit in found(lexicon, text)][:2] == [("minor.explicit", "Zebra"), ("minor.explicit", "HERONRY")]
    assert ("minor.explicit", "grey-heronry nest", 0.9) in found(lexicon, text)
    assert found(lexicon, "grey, heronry") == [("minor.explicit", "heronry", 0.9)]
    shown = f"{lexicon!r} {lexicon.packs!r} {lexicon.hashed!r}"
    assert "heron" not in shown
    assert "t1" not in shown
    assert lexicon.digest != load_lexicon("canary").digest
    if make is hash_pack:
        assert "heronry" not in set(lexicon.forms_of({"minor.explicit"}))


@pytest.mark.parametrize("make", [seal_pack, hash_pack])
def test_a_wrong_key_or_a_changed_file_refuses_the_start(make: object, plain: Path, key: Path, tmp_path: Path) -> None:
    """Every byte counts, and the message tells nothing of the content."""
    assert callable(make)
    raw = make(plain, key)
    other = tmp_path / "other"
    new_key(other)
    with pytest.raises(PackError, match="the key is another one, or the file was changed"):
        load(raw, other)
    for at in range(0, len(raw), 7):
        changed = bytearray(raw)
        changed[at] ^= 1
        with pytest.raises(PackError) as caught:
            load(bytes(changed), key)
        assert "heron" not in str(caught.value)
        assert "t1" not in str(caught.value)
    with pytest.raises(PackError):
        load(raw[:-1], key)


def test_missing_and_malformed_files_refuse_the_start(plain: Path, key: Path, tmp_path: Path) -> None:
    """A missing pack or key, a key of another length, a plain file in the place of a private one."""
    raw = seal_pack(plain, key)
    with pytest.raises(PackError, match="is no private pack"):
        load(plain.read_bytes(), key)
    with pytest.raises(PackError, match="cannot be read"):
        load_lexicon("canary", PrivatePacks(files=(str(tmp_path / "nowhere"),), key_file=str(key)))
    with pytest.raises(PackError, match="cannot be read"):
        load(raw, tmp_path / "nokey")
    for text in (b"", b"abcd", b"zz" * 32, b"\xff" * 64):
        (tmp_path / "bad").write_bytes(text)
        with pytest.raises(PackError, match="is no key"):
            load(raw, tmp_path / "bad")
    with pytest.raises(PackError, match="cannot be written"):
        new_key(key)
    assert key.stat().st_mode & 0o077 == 0


def test_only_a_sound_pack_is_made_private(key: Path, tmp_path: Path) -> None:
    """A broken pack is refused when it is sealed, not when it is needed; hashing takes no exceptions."""
    path = tmp_path / "own.jsonl"
    path.write_text(f"{HEADER}\n{TERM.replace('heronry', 'Heronry')}\n")
    with pytest.raises(PackError, match=r"own\.jsonl:2"):
        seal_pack(path, key)
    excepted = TERM.replace("}", ',"exceptions":["heronry door"]}')
    path.write_text(f"{HEADER}\n{excepted}\n")
    with pytest.raises(PackError, match="seal it"):
        hash_pack(path, key)


def test_a_private_pack_may_not_take_the_name_of_another(plain: Path, key: Path) -> None:
    """Names tell packs apart in records, so each is used once."""
    plain.write_text(plain.read_text().replace('"own"', '"canary-minor"'))
    with pytest.raises(PackError, match="has the name of another pack"):
        load(seal_pack(plain, key), key)
