"""A few tickets whose topic nobody doubts, and files of them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

LABELS = ["物流配送", "退款退货", "发票"]
TICKETS = [
    ("包裹三天没动了，快递到底送到哪里了", "物流配送"),
    ("快递显示签收了，可是我没有收到包裹", "物流配送"),
    ("物流信息一直不更新，什么时候能送到", "物流配送"),
    ("快递员把包裹丢在门口就走了", "物流配送"),
    ("申请退款一周了还没到账", "退款退货"),
    ("衣服尺码不合适，我想退货退款", "退款退货"),
    ("收到的东西是坏的，我要求退货", "退款退货"),
    ("退货寄回去了，什么时候退款", "退款退货"),
    ("发票抬头开错了，能重新开发票吗", "发票"),
    ("请给我开一张增值税专用发票", "发票"),
    ("电子发票在哪里下载", "发票"),
    ("发票上的税号写错了", "发票"),
]


#: The column 类别 says another label for this row than anybody else would.
ODD_ROW, ODD_LABEL = 0, "发票"


def write_tickets(path: Path, *, encoding: str = "utf-8", gold: bool = False) -> Path:
    """A CSV with the columns 编号 and 内容, and 类别 where the right labels are wanted; one of these is odd."""
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["编号", "内容", *(["类别"] if gold else [])])
    for number, (text, label) in enumerate(TICKETS):
        right = ODD_LABEL if number == ODD_ROW else label
        writer.writerow([number + 1, text, *([right] if gold else [])])
    path.write_text(table.getvalue(), encoding=encoding)
    return path


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a downloaded CSV."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
