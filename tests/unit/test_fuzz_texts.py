"""The fuzz targets of what reads texts: prompts, lists, packs, rules, settings, addresses."""

from __future__ import annotations

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fuzz.strategies import conditions, graphs, hash_lists, json_lines, mutated, texts, toml
from fuzz.target import check, find
from rempart.prompts.pack import SHIPPED

PATIENT = settings(deadline=None)  # a target has a limit of its own, in processor time
MARKS = tuple(find("prompts.screen").words)
LINES = [json.loads(line) for line in (SHIPPED / "canary" / "minor.jsonl").read_text().splitlines()]


def seeds(name: str) -> list[bytes]:
    """What a target begins from."""
    return list(find(name).seeds())


@given(texts(MARKS))
@PATIENT
def test_no_text_folds_to_what_folds_again(prompt: bytes) -> None:
    """And every word of the folded text came from somewhere."""
    check(find("prompts.fold"), prompt)


@given(texts(MARKS) | mutated(seeds("prompts.scan"), MARKS))
@PATIENT
def test_no_marks_make_a_text_that_was_not_there(prompt: bytes) -> None:
    """In no syntax, in no view."""
    check(find("prompts.scan"), prompt)


@given(texts(MARKS) | mutated(seeds("prompts.screen"), MARKS))
@PATIENT
def test_no_prompt_makes_the_screen_fail(prompt: bytes) -> None:
    """Prompt, negative prompt, style and names together."""
    check(find("prompts.screen"), prompt)


@given(graphs() | mutated(seeds("prompts.comfy")))
@settings(PATIENT, max_examples=60)
def test_no_graph_is_read_to_both_sides(graph: bytes) -> None:
    """Circles, links to nowhere, and nodes that are none."""
    check(find("prompts.comfy"), graph)
    check(find("prompts.screen"), graph)


@given(mutated(seeds("prompts.scorer_answer"), tuple(find("prompts.scorer_answer").words)))
@example(b'{"choices": [{"message": {"content": "\xff"}}]}')
@PATIENT
def test_no_answer_of_a_scorer_is_a_probability_beyond_one(answer: bytes) -> None:
    """Nor an error that is not known."""
    check(find("prompts.scorer_answer"), answer)


@given(hash_lists())
@PATIENT
def test_no_hash_list_is_half_understood_or_quoted(content: bytes) -> None:
    """Line ends, marks, prefixes and digits in any mixture."""
    check(find("lists.hash_file"), content)
    for line in content.splitlines()[:3]:
        check(find("lists.hash"), line)


@given(conditions() | mutated(seeds("packs.condition"), tuple(find("packs.condition").words)))
@example(b"(a.b and c.d) within " + b"9" * 400 + b" tokens")
@PATIENT
def test_no_condition_does_more_than_to_hold_or_not(condition: bytes) -> None:
    """Deep, long, with numbers beyond all bounds."""
    check(find("packs.condition"), condition)


@given(json_lines(LINES) | mutated(seeds("packs.pack"), tuple(find("packs.pack").words)))
@PATIENT
def test_no_pack_is_half_read_or_quoted(content: bytes) -> None:
    """One that is read is the same when it is written out again."""
    check(find("packs.pack"), content)


@given(
    toml(
        ("version", "id", "verdict", "when", "text", "rule", "to", "x"),
        ("[[rule]]", "[[lower]]", "[rule]", "[[rule.x]]"),
    )
    | mutated(seeds("packs.overlay"))
)
@example(b"x = " + b"[" * 3000)
@example(b"x = " + b"9" * 5000)
@settings(PATIENT, max_examples=50)
def test_no_rule_file_unsettles_the_floor(content: bytes) -> None:
    """It is refused as a whole, or the floor stands first."""
    check(find("packs.overlay"), content)


@given(mutated(seeds("packs.private")))
@PATIENT
def test_no_private_pack_tells_what_it_hides(content: bytes) -> None:
    """Also when whoever wrote it had the key."""
    check(find("packs.private"), content)


@given(
    toml(
        ("data_dir", "media", "workers", "wall_seconds", "max_pixels", "packs", "private", "scorers", "kind"),
        ("[media]", "[prompts]", "[prompts.private]", "[[prompts.scorers]]", "[x]", "[media.workers]"),
    )
)
@example(b"[media]\nwall_seconds = inf")
@example(b"[media]\nwall_seconds = 1e300")
@example(b"x = " + b"[" * 3000)
@example(b"x = " + b"9" * 5000)
@example(b"\nMEDIA__\xff=1")
@PATIENT
def test_no_configuration_is_half_understood(content: bytes) -> None:
    """Neither in a file nor in the environment."""
    check(find("settings.config"), content)
    check(find("settings.environment"), content.replace(b" = ", b"="))


@given(texts(tuple(find("net.url").words)) | mutated(seeds("net.url"), tuple(find("net.url").words)))
@example(b"A::")
@PATIENT
def test_no_address_is_read_in_two_ways(url: bytes) -> None:
    """As a URL, and as the name of a host."""
    check(find("net.url"), url)
    check(find("net.host"), url)


@given(
    st.ip_addresses().map(lambda ip: str(ip).encode()) | mutated(seeds("net.address"), tuple(find("net.address").words))
)
@PATIENT
def test_no_special_address_counts_as_public(address: bytes) -> None:
    """Nor one that lies inside of another."""
    check(find("net.address"), address)


@given(mutated(seeds("net.http_answer"), tuple(find("net.http_answer").words)))
@settings(PATIENT, max_examples=50)
def test_no_host_can_answer_more_than_an_error(answer: bytes) -> None:
    """Over a real connection."""
    check(find("net.http_answer"), answer)


@given(mutated(seeds("matching.hashes"), (b"\n", b"0f" * 32, b"s", b"a", b" ")))
@PATIENT
def test_no_form_of_a_hash_is_half_taken(content: bytes) -> None:
    """Found again, or refused without being quoted."""
    check(find("matching.hashes"), content)


@given(st.lists(st.integers(-(1 << 65), 1 << 65) | st.floats() | st.text("x .", max_size=2), max_size=5))
@PATIENT
def test_no_id_is_another_one_inside(ids: list[object]) -> None:
    """Whole numbers from 0 to 2**63 - 1."""
    check(find("matching.ids"), " ".join(map(str, ids)).encode())


@given(mutated(seeds("matching.snapshot"), tuple(find("matching.snapshot").words)))
@example(seeds("matching.snapshot")[1].replace(b"index", b"ind\xffx"))
@settings(PATIENT, max_examples=60)
def test_no_snapshot_answers_for_another(content: bytes) -> None:
    """Also when somebody made its digests fit."""
    check(find("matching.snapshot"), content)


@given(mutated(seeds("matching.journal")) | st.binary(max_size=200))
@settings(PATIENT, max_examples=50)
def test_no_journal_tells_of_changes_that_were_not_made(content: bytes) -> None:
    """Cut off anywhere, or with checksums that fit."""
    check(find("matching.journal"), content)


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=8), st.integers(0, 63), st.integers(0, 255))
@PATIENT
def test_the_index_answers_as_comparing_with_each_hash_does(rows: list[bytes], radius: int, flip: int) -> None:
    """With a near neighbour of each."""
    near = [bytes([row[0] ^ flip]) + row[1:] for row in rows]
    check(find("matching.near"), b"".join(rows + near) + bytes([radius]))
