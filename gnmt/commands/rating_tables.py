"""Results of a rating campaign as Markdown tables."""

from typing import Any, Dict, List, Optional

from gnmt.commands.report import ABSENT, markdown_table


def tables(found: Dict[str, Any]) -> List[str]:
    """Returns the tables of systems, differences and raters, and the agreement of the raters.

    Without a rated sentence there are no results, and the tables of results are left out.
    """
    raters = [
        {
            "rater": one["rater"],
            "complete": f"{one['complete']} of {one['items']}",
            "mean": _number(one["mean"]),
            "sd": _number(one["standard_deviation"]),
            "seconds per item (median)": _number(one["median_seconds"], 1),
            "failed controls": f"{one['failed_controls']} of {one['controls']}",
            "repeated: equal": _percent(one["repeated_equal"]),
            "repeated: within 1": _percent(one["repeated_within_1"]),
        }
        for one in found["raters"]
    ]
    if not found["rated_items"]:
        begun = [markdown_table(raters)] if raters else []
        return [f"None of the {found['items']} sentences has been rated yet, so there are no results.", *begun]
    systems = [
        {"system": one["system"], "mean": _interval(one), "items": str(one["items"])} for one in found["systems"]
    ]
    differences = [
        {
            "system": one["system"],
            f"difference from {one['baseline']}": _interval(one),
            "wins": str(one["wins"]),
            "ties": str(one["ties"]),
            "losses": str(one["losses"]),
            "p (sign test)": f"{one['sign_test']:.4f}",
        }
        for one in found["differences"]
    ]
    agreement = _number(found["agreement"], 3)
    return [
        f"{found['rated_items']} of {found['items']} sentences have been rated; intervals of 95 % in brackets.",
        markdown_table(systems),
        markdown_table(differences),
        markdown_table(raters),
        f"agreement of the raters (Krippendorff's alpha, interval): {agreement}",
    ]


def _interval(one: Dict[str, Any]) -> str:
    return ABSENT if one["mean"] is None else f"{one['mean']:.2f} [{one['low']:.2f}, {one['high']:.2f}]"


def _number(value: Optional[float], digits: int = 2) -> str:
    return ABSENT if value is None else f"{value:.{digits}f}"


def _percent(share: Optional[float]) -> str:
    return ABSENT if share is None else f"{100 * share:.0f} %"
