"""What the benchmarks say: medians, goals, tables, pictures."""

import re
from xml.etree import ElementTree as ET

import pytest

from benchmarks import machine, picture
from benchmarks.field import ENTRIES, LIMITER, PLAIN, SLIDING, CannotError
from benchmarks.report import Goal, goals_table
from benchmarks.rounds import Outcome, in_turns, notes

RATES = {PLAIN: iter([10.0, 100.0, 20.0]), SLIDING: iter([30.0, 200.0, 80.0])}


def test_a_ratio_is_the_median_of_those_within_a_round():
    outcome = in_turns(list(RATES), 3, lambda entry: {"rate": next(RATES[entry])}, Outcome())

    assert outcome.number(SLIDING, "rate") == 80
    assert outcome.ratio(SLIDING, PLAIN, "rate") == 3
    assert outcome.most((PLAIN, SLIDING), "rate") is SLIDING


def test_who_fails_once_is_out_and_the_reason_is_told():
    asked = []

    def act(entry):
        asked.append(entry)
        if entry is LIMITER and asked.count(LIMITER) == 2:
            message = "broke"
            raise CannotError(message)
        return {"rate": 1.0}

    outcome = in_turns([PLAIN, LIMITER], 4, act, Outcome())

    assert list(outcome.rounds) == [PLAIN]
    assert asked.count(LIMITER) == 2
    assert outcome.most([LIMITER], "rate") is None
    assert notes([outcome]).strip() == f"Not measured: {LIMITER.title} (broke)."


def test_everybody_follows_everybody_in_some_round():
    order = []
    in_turns(ENTRIES[:3], 3, lambda entry: order.append(entry) or {}, Outcome())

    assert {order[0], order[3], order[6]} == set(ENTRIES[:3])


@pytest.mark.parametrize(
    ("goal", "word"),
    [
        (Goal("a", 5.0, must=4, goal=5, is_floor=True), "yes"),
        (Goal("a", 4.0, must=4, goal=5, is_floor=True), "must"),
        (Goal("a", 3.9, must=4, goal=5, is_floor=True), "NO"),
        (Goal("a", 0.1, must=0.25, goal=0.1), "yes"),
        (Goal("a", 0.25, must=0.25, goal=0.1), "must"),
        (Goal("a", 0.26, must=0.25, goal=0.1), "NO"),
        (Goal("a", 1.8, must=1.8), "yes"),
        (Goal("a", None, must=1.8), "NO"),
    ],
)
def test_a_goal_is_met_up_to_its_bound(goal, word):
    line = goals_table([goal]).splitlines()[-1]

    assert line.split("|")[-2].strip() == word
    assert goal.is_met == (word != "NO")


def test_a_picture_has_every_line_and_is_the_same_every_time():
    lines = {f"library {at}": ([at + 1.0, 2.0, 3.0], at == 0) for at in range(12)}

    svg = picture.draw("Rates & more", [1, 16, 64], lines)

    assert svg == picture.draw("Rates & more", [1, 16, 64], lines)
    root = ET.fromstring(svg)
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert set(lines) < set(texts)
    assert "Rates & more" in texts
    looks = re.findall(r"<polyline .*? fill=\"none\" (.*)/>", svg)
    assert len(set(looks)) == len(lines)


def test_a_line_ends_as_high_as_its_number():
    svg = picture.draw("", [1, 2], {"low": ([0.0, 0.0], False), "high": ([0.0, 4.0], True)})

    ends = {float(points.split(",")[-1]) for points in re.findall(r'points="(.*?)"', svg)}
    assert ends == {picture.HEIGHT - picture.BOTTOM, picture.TOP}


def test_versions_are_those_that_are_pinned():
    assert "limits 5.8.0" in machine.peer_versions()
    assert {"fastapi-limiter 0.1.6", "fastapi-limiter 0.2.0"} < set(machine.peer_versions())
