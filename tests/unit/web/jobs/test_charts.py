from web.jobs import charts


def test_bars_stand_side_by_side_inside_the_edges():
    drawn = charts.histogram([0, 5, 10, 0])
    assert drawn.most == 10
    assert [bar.count for bar in drawn.bars] == [0, 5, 10, 0]
    assert [(bar.low, bar.high) for bar in drawn.bars][:2] == [(0.0, 0.25), (0.25, 0.5)]
    heights = [bar.height for bar in drawn.bars]
    assert heights == [0, (charts.BASE - charts.TOP) / 2, charts.BASE - charts.TOP, 0]
    for bar, following in zip(drawn.bars, drawn.bars[1:], strict=False):
        assert charts.LEFT <= bar.x < bar.x + bar.width < following.x
        assert bar.y + bar.height == charts.BASE
    assert drawn.bars[-1].x + drawn.bars[-1].width <= charts.RIGHT


def test_few_are_not_none():
    drawn = charts.histogram([1, 1_000_000, 0])
    assert [bar.height > 0 for bar in drawn.bars] == [True, True, False]


def test_nothing_at_all_is_drawn_as_nothing():
    assert {bar.height for bar in charts.histogram([0, 0]).bars} == {0}


def test_lines_go_from_corner_to_corner():
    drawn = charts.lines([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]], marked=0.5)
    assert drawn.coverage == f"{charts.LEFT:.1f},{charts.TOP:.1f} {charts.RIGHT:.1f},{charts.BASE:.1f}"
    assert drawn.accuracy == f"{charts.LEFT:.1f},{charts.BASE:.1f} {charts.RIGHT:.1f},{charts.TOP:.1f}"
    assert drawn.marked == (charts.LEFT + charts.RIGHT) / 2
    assert [tick.value for tick in drawn.ticks_y] == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert drawn.ticks_y[0].at == charts.BASE
