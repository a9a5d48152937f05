"""What a prediction costs beyond an empty function, as the page shows it."""

from benchmarks.api_overhead import BLOCKS, blocks, section


def test_the_ratio_is_of_medians_so_one_slow_call_does_not_move_it() -> None:
    taken = {"predict": [0.004] * 99 + [9.0], "empty": [0.002] * 100}
    (bar,) = section(taken).charts[0].bars
    assert (bar.value, bar.low, bar.high) == (2, 2, 2)


def test_every_part_holds_calls_of_the_same_time() -> None:
    taken = {"predict": [float(at) for at in range(100)], "empty": [float(at) for at in range(100)]}
    parts = list(blocks(taken))
    assert len(parts) == BLOCKS
    assert all(predict == empty for predict, empty in parts)
    assert [call for predict, _ in parts for call in predict] == taken["predict"]


def test_the_page_gives_milliseconds() -> None:
    rows = section({"predict": [0.004] * 40, "empty": [0.002] * 40}).rows
    assert rows == (("predict", "4.00", "4.00"), ("empty", "2.00", "2.00"))
