"""Tests the sampling of rating campaigns and the order of items for each rater.

Expected properties follow from the definition of the design.
"""

import json
from collections import Counter

import pytest

from gnmt.commands import rate
from gnmt.commands.command_line import run_module
from gnmt.errors import UserError
from gnmt.evaluation.rating.campaign import (
    CONTROL,
    RATED,
    REPEAT,
    Campaign,
    Item,
    read_campaign,
    read_key,
    read_raters,
    write_campaign,
)
from gnmt.evaluation.rating.drawing import Sizes, Texts, damaged, draw, sizes_of, stratified
from gnmt.evaluation.rating.order import item_order, output_order

COUNT = 60
SOURCES = [" ".join(["word"] * (1 + line % 20)) + f" {line}" for line in range(COUNT)]
REFERENCES = [f"reference of line {line} is this" for line in range(COUNT)]
OUTPUTS = {
    "alpha": [f"first {line}" for line in range(COUNT)],
    # alpha is sometimes among them
    "beta": [f"{'first' if line % 10 == 0 else 'second'} {line}" for line in range(COUNT)],
    "gamma": [f"third {line}" for line in range(COUNT)],
}
TEXTS = Texts(SOURCES, REFERENCES, OUTPUTS)
SIZES = Sizes(rated=40, repeated=4, controls=3)


@pytest.fixture(scope="module")
def drawn():
    return draw(TEXTS, SIZES, seed=7)


def test_each_stratum_gives_one_sentence():
    """The 12 lines are sorted by length; lines 0 to 3, 4 to 7 and 8 to 11 are one stratum each."""
    lengths = [5, 1, 9, 2, 8, 3, 7, 4, 6, 10, 11, 12]
    for seed in range(20):
        chosen = stratified(range(12), lengths, 3, seed)
        assert [(lengths[line] - 1) // 4 for line in chosen] == [0, 1, 2]
    assert len({tuple(stratified(range(12), lengths, 3, seed)) for seed in range(20)}) > 10
    assert sorted(stratified(range(12), lengths, 12, 1)) == list(range(12))


def test_damaged_text_lacks_two_words_of_five_in_their_order():
    words = "a b c d e".split()
    for seed in range(5):
        left = damaged("a b c d e", seed).split()
        assert len(left) == 3 and left == [word for word in words if word in left]
    assert damaged("a", 1) == ""


def test_campaign_has_all_kinds_and_no_names(drawn):
    campaign, key = drawn
    assert Counter(item.kind for item in key.items.values()) == {RATED: 40, REPEAT: 4, CONTROL: 3}
    assert key.systems == list(OUTPUTS) and [item.id for item in campaign.items] == sorted(key.items)
    text = json.dumps([item._asdict() for item in campaign.items])
    assert not any(name in text for name in OUTPUTS)


def test_outputs_are_those_of_the_systems(drawn):
    campaign, key = drawn
    for item in campaign.items:
        origin = key.items[item.id]
        assert item.source == SOURCES[origin.line - 1]
        if origin.kind != CONTROL:
            for text, systems in zip(item.outputs, origin.systems):
                assert all(OUTPUTS[system][origin.line - 1] == text for system in systems)
            assert sorted(sum(origin.systems, [])) == list(OUTPUTS) and len(set(item.outputs)) == len(item.outputs)


def test_controls_have_a_reference_a_damaged_one_and_as_many_outputs_as_others(drawn):
    campaign, key = drawn
    controls = [item for item in campaign.items if key.items[item.id].kind == CONTROL]
    rated = {origin.line for origin in key.items.values() if origin.kind == RATED}
    for item in controls:
        origin = key.items[item.id]
        reference = REFERENCES[origin.line - 1]
        assert item.outputs[:2] == [reference, damaged(reference, 7)] and len(item.outputs) == 3
        assert origin.line not in rated


def test_drawing_can_be_repeated_and_depends_on_the_seed():
    assert draw(TEXTS, SIZES, seed=7) == draw(TEXTS, SIZES, seed=7)
    assert draw(TEXTS, SIZES, seed=7) != draw(TEXTS, SIZES, seed=8)


def test_too_few_sentences_are_refused():
    with pytest.raises(UserError, match=r"The source has 60 sentences, but --items is 61 \(default: 500\): give fewer"):
        draw(TEXTS, Sizes(61, 0, 0), 1)
    with pytest.raises(UserError, match="The controls need 5 further sentences .* but 2 are left"):
        draw(TEXTS, Sizes(58, 0, 5), 1)


def test_blank_sources_are_not_drawn():
    texts = Texts(["a", " ", "b"], ["x"] * 3, {"s": ["1", "2", "3"], "t": ["4", "5", "6"]})
    campaign, _ = draw(texts, Sizes(2, 0, 0), 1)
    assert sorted(item.source for item in campaign.items) == ["a", "b"]


# -- orders


def test_half_of_the_campaign_lies_between_an_item_and_its_repetition(drawn):
    campaign, _ = drawn
    for rater in ("r1", "r2", "r3"):
        order = [item.id for item in item_order(campaign, rater)]
        assert sorted(order) == sorted(item.id for item in campaign.items)
        for item in campaign.items:
            if item.repeats:
                assert abs(order.index(item.id) - order.index(item.repeats)) > len(order) // 3


def test_orders_differ_between_raters_and_can_be_repeated(drawn):
    campaign, _ = drawn
    orders = [[item.id for item in item_order(campaign, rater)] for rater in ("r1", "r2", "r1")]
    assert orders[0] == orders[2] != orders[1]


def test_outputs_have_each_position_equally_often():
    """A chi-square statistic of 3 x 3 counts (4 degrees of freedom) is below 18.5 with probability 0.999."""
    counts = [[0] * 3 for _ in range(3)]
    items = [Item(str(number), "", ["a", "b", "c"], None) for number in range(500)]
    for rater in ("r1", "r2", "r3"):
        for item in items:
            for position, output in enumerate(output_order(1, rater, item)):
                counts[position][output] += 1
    assert sum((count - 500) ** 2 / 500 for row in counts for count in row) < 18.5


def test_first_items_vary_between_raters():
    campaign = Campaign(1, "", "", [Item(str(number), "", ["a"], None) for number in range(10)])
    first = Counter(item_order(campaign, f"rater-{number}")[0].id for number in range(500))
    assert len(first) == 10 and max(first.values()) < 85  # expected value 50, tolerance 5 standard deviations


# -- the command


@pytest.fixture
def prepare(tmp_path, capsys):
    for name, lines in (("src", SOURCES), ("ref", REFERENCES), *OUTPUTS.items()):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def call(*options, systems=("alpha", "beta")) -> str:
        paths = [str(tmp_path / name) for name in ("src", "ref", *systems)]
        run_module(rate, "gnmt rate", ["prepare", *paths, "--output", str(tmp_path / "c"), *map(str, options)])
        return capsys.readouterr().out

    return call


def test_a_small_campaign_has_one_of_each_kind_unless_its_share_is_0(prepare):
    assert sizes_of(10, 0.05, 0.03) == (10, 1, 1) and sizes_of(10, 0, 0.03) == (10, 0, 1)
    assert sizes_of(500, 0.05, 0.03) == (500, 25, 15) and sizes_of(10, 0.05, 0) == (10, 1, 0)
    assert "10 sentences, 1 of them twice, and 1 control for 2 raters" in prepare("--items", 10)


def test_prepare_writes_a_folder_with_secret_files(prepare, tmp_path):
    printed = prepare("--items", 40, "--raters", 3, "--rate-reference", "--source-lang", "en", "--seed", 3)
    assert "40 sentences, 2 of them twice, and 1 control for 3 raters" in printed
    campaign, raters = read_campaign(tmp_path / "c"), read_raters(tmp_path / "c")
    key = read_key(tmp_path / "c", campaign)
    assert key.systems == ["alpha", "beta", "reference"]
    assert (campaign.source_language, campaign.seed, len(campaign.items)) == ("en", 3, 43)
    assert [rater.name for rater in raters] == ["rater-1", "rater-2", "rater-3"]
    assert len({rater.token for rater in raters}) == 3 and min(len(rater.token) for rater in raters) >= 32
    for name in ("key.json", "raters.json"):
        assert (tmp_path / "c" / name).stat().st_mode & 0o077 == 0
    with pytest.raises(UserError, match="exists"):
        prepare("--items", 40)


@pytest.mark.parametrize(
    "options, systems, words",
    [
        (["--items", "0"], ("alpha", "beta"), "--items is 0"),
        (["--raters", "0"], ("alpha", "beta"), "--raters is 0"),
        (["--repeated", "1.5"], ("alpha", "beta"), "--repeated is 1.5"),
        ([], ("alpha",), "side-by-side rating needs two"),
        (["--rate-reference", "--names", "reference"], ("alpha",), "A system has the name reference"),
        ([], ("alpha", "short"), "short has 1 lines for 60 sources"),
    ],
)
def test_prepare_refuses_mistakes(prepare, tmp_path, options, systems, words):
    (tmp_path / "short").write_text("a\n", encoding="utf-8")
    with pytest.raises(UserError, match=words):
        prepare(*options, systems=systems)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"items": 1}', '{"seed": "x", "items": []}', "[" * 100000])
def test_damaged_campaigns_are_refused(tmp_path, content):
    campaign = Campaign(1, "", "", [])
    for read, name in ((read_campaign, "campaign.json"), (lambda folder: read_key(folder, campaign), "key.json")):
        (tmp_path / name).write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match=f"{name} is not a file"):
            read(tmp_path)
    with pytest.raises(UserError, match=r"raters.json cannot be read .* `gnmt rate prepare`"):
        read_raters(tmp_path)


@pytest.mark.parametrize(
    "raters, words",
    [
        ([("a", "")], "fewer than 16 characters"),
        ([("a", "x" * 20), ("a", "y" * 20)], "share a name or a token"),
        ([("a", "x" * 20), ("b", "x" * 20)], "share a name or a token"),
    ],
)
def test_weak_tokens_are_refused(tmp_path, raters, words):
    content = [{"name": name, "token": token} for name, token in raters]
    (tmp_path / "raters.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=words):
        read_raters(tmp_path)


def test_the_key_of_another_campaign_is_refused(drawn, tmp_path):
    campaign, key = drawn
    write_campaign(tmp_path, campaign._replace(items=campaign.items[1:]), key, [])
    with pytest.raises(UserError, match="is not the key of campaign.json"):
        read_key(tmp_path, read_campaign(tmp_path))


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda items: items[0].update(repeats="nothing"), "an item does not repeat another item"),
        (lambda items: items[0].update(repeats=items[0]["id"]), "an item does not repeat another item"),
        (lambda items: items[0].update(repeats=[]), "unhashable type"),
        (lambda items: items[0].update(outputs=[]), "an item has no output"),
        (lambda items: items.append(items[0]), "two items share an id"),
        (lambda items: items[0].update(source="\ud800"), "surrogates not allowed"),
    ],
)
def test_a_campaign_with_impossible_items_is_refused(drawn, tmp_path, change, words):
    write_campaign(tmp_path, *drawn, [])
    content = json.loads((tmp_path / "campaign.json").read_text())
    change(content["items"])
    (tmp_path / "campaign.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"campaign.json is not a file of `gnmt rate prepare` .*{words}"):
        read_campaign(tmp_path)


@pytest.mark.parametrize("systems", [None, "ab", [1]])
def test_a_key_without_names_of_systems_is_refused(drawn, tmp_path, systems):
    campaign, key = drawn
    write_campaign(tmp_path, campaign, key, [])
    content = json.loads((tmp_path / "key.json").read_text())
    item = next(iter(content["items"].values()))
    item["systems"] = [systems for _ in item["systems"]]
    (tmp_path / "key.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="key.json is not .*the systems of an output are not a list of names"):
        read_key(tmp_path, campaign)
