"""Tests embeddings initialised from vectors in a file. Expected values are worked out by hand."""

from types import SimpleNamespace

import pytest
import torch

from conftest import make_dictionary, make_model
from fairseq_gnmt.models.pretrained_embeddings import init_embeddings_from_file
from fairseq_gnmt.tasks.options import check_beginning
from gnmt.errors import UserError

DICTIONARY = make_dictionary(8)  # w0 to w3 are numbers 4 to 7
VECTORS = "3 4\nw2 1 2 3 4\nelsewhere 5 5 5 5\nw0 -1 0 0.5 0\n"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text(VECTORS, encoding="utf-8")
    return path


def model(target_dictionary=None, **options):
    return make_model("gnmt_v2_tiny", DICTIONARY, target_dictionary=target_dictionary, hidden_size=4, **options)


def test_known_tokens_have_their_vectors_at_the_length_of_random_ones(path):
    random, begun = model(), model()
    init_embeddings_from_file(begun, DICTIONARY, DICTIONARY, path)
    before, after = random.encoder.embed_tokens.weight, begun.encoder.embed_tokens.weight
    others = [0, 1, 2, 3, 5, 7]
    assert torch.equal(after[others], before[others])
    vectors = torch.tensor([[-1, 0, 0.5, 0], [1, 2, 3, 4]])
    scale = before[[4, 6]].square().sum().sqrt() / vectors.square().sum().sqrt()
    assert torch.allclose(after[[4, 6]], vectors * scale)
    assert begun.decoder.embed_tokens.weight is after and after.requires_grad


def test_nothing_else_begins_otherwise(path):
    random, begun = model(), model()
    init_embeddings_from_file(begun, DICTIONARY, DICTIONARY, path)
    for (name, before), after in zip(random.named_parameters(), begun.parameters()):
        assert torch.equal(before, after) != ("embed_tokens" in name)


def test_two_embeddings_each_by_its_dictionary(path):
    german = make_dictionary(5)  # only w0
    begun = model(target_dictionary=german, no_share_embeddings=True)
    init_embeddings_from_file(begun, DICTIONARY, german, path)
    source, target = begun.encoder.embed_tokens.weight, begun.decoder.embed_tokens.weight
    for weight in (source, target):
        assert torch.allclose(weight[4] / weight[4, 0], torch.tensor([1.0, 0, -0.5, 0]), atol=1e-6)
    assert torch.allclose(source[6] / source[6, 0], torch.tensor([1.0, 2, 3, 4]))


@pytest.mark.parametrize(
    "text, error_message",
    [
        (
            "2 3\nw0 1 2 3\n",
            "line 2: there are 3 numbers after the token, but the network's embeddings have 4: make it with --size 4",
        ),
        ("1 4\nw0 1 2 3 four\n", "has no vectors in text"),
        ("1 4\nelsewhere 1 2 3 4\n", "has none of the dictionary's tokens"),
        ("", "has none of the dictionary's tokens"),
        ("1 4\nw0 0 0 0 0\n", "are all zero, or not all"),
        ("1 4\nw0 0 1 0 nan\n", "are all zero, or not all"),
        ("1 4\nw0 0 1 0 inf\n", "are all zero, or not all"),
        (None, "No such file or directory. Name a file of vectors."),
    ],
)
def test_files_that_cannot_be_used(path, text, error_message):
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(UserError, match=error_message):
        init_embeddings_from_file(model(), DICTIONARY, DICTIONARY, path)


def test_bytes_that_are_no_text(path):
    path.write_bytes(b"1 4\n\xff\xfe 1 2 3 4\n")
    with pytest.raises(UserError, match="has no vectors in text"):
        init_embeddings_from_file(model(), DICTIONARY, DICTIONARY, path)


@pytest.mark.parametrize("loads", [{"finetune_from_model": "f.pt"}, {"restore_file": "f.pt"}])
def test_a_model_that_is_loaded_has_embeddings(loads):
    given = {"pretrained_embeddings": "v.txt", "finetune_from_model": None, "restore_file": "checkpoint_last.pt"}
    check_beginning(SimpleNamespace(**given))
    with pytest.raises(UserError, match="leave one out"):
        check_beginning(SimpleNamespace(**{**given, **loads}))


def test_models_without_embeddings(path):
    other = model()
    del other.decoder.embed_tokens
    with pytest.raises(UserError, match="GNMTDecoder has no `embed_tokens` to initialise"):
        init_embeddings_from_file(other, DICTIONARY, DICTIONARY, path)
