from __future__ import annotations

import pickle
from dataclasses import fields

import pytest

from contract.hyperparameters import RANGES, HyperparameterError, override
from contract.schema import Training


@pytest.mark.parametrize("text", ["64,32", "[64, 32]", "(64, 32,)"])
def test_widths_may_be_written_in_several_ways(text: str) -> None:
    assert override(Training(), {"hidden": text}).hidden == (64, 32)


def test_what_is_not_given_stays_as_it_is() -> None:
    assert override(Training(epochs=5), {"seed": "1"}) == Training(epochs=5, seed=1)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("learning_rat", "0.1", "no hyperparameter 'learning_rat'. Did you mean \"learning_rate\"?"),
        ("zzz", "1", 'Known here: "seed", "epochs"'),
        ("epochs", "many", "epochs: 'many' is not a whole number. Write epochs=12, for example."),
        ("epochs", "1.5", "is not a whole number"),
        ("hidden", "a,b", "is not a list of whole numbers. Write hidden=128,64, for example."),
        ("epochs", "0", "epochs: 0 is out of range. It must be at least 1. Write epochs=12, for example."),
        ("seed", "-1", "must be 0 or more"),
        ("hidden", "64,0", "must be widths of at least 1"),
        ("dropout", "1", "dropout: 1 is out of range"),
        ("learning_rate", "nan", "learning_rate: nan is out of range"),
        ("learning_rate", "inf", "must be above 0, and finite"),
        ("weight_decay", "inf", "must be 0 or more, and finite"),
        ("learning_rate", "-1", "must be above 0"),
        ("precision", "fp16", "fp16 is out of range. It must be bf16 or fp32. Write precision=bf16, for"),
    ],
)
def test_a_hyperparameter_that_cannot_be_followed_is_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(HyperparameterError) as caught:
        override(Training(), {name: text})
    assert message in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value), "it crosses processes"


def test_every_hyperparameter_has_a_range_that_its_default_keeps() -> None:
    defaults = {field.name: getattr(Training(), field.name) for field in fields(Training)}
    assert defaults.keys() == RANGES.keys()
    assert all(RANGES[name][0](value) for name, value in defaults.items())
