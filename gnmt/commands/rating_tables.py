"""Results of a rating campaign as Markdown tables."""

from typing import Any, Dict, List, Optional

from gnmt.commands.report import ABSENT, markdown_table


def tables(results: Dict[str, Any]) -> List[str]:
    """Returns the tables of systems, differences and raters, and the agreement of the raters.

    Without a rated sentence there are no results, and the tables of results are left out.
    """
    raters = [
        {
            "rater": rater["rater"],
            "complete": f"{rater['complete']} of {rater['items']}",
            "mean": _number(rater["mean"]),
            "sd": _number(rater["standard_deviation"]),
            "seconds per item (median)": _number(rater["median_seconds"], 1),
            "failed controls": f"{rater['failed_controls']} of {rater['controls']}",
            "repeated: equal": _percent(rater["repeated_equal"]),
            "repeated: within 1": _percent(rater["repeated_within_1"]),
        }
        for rater in results["raters"]
    ]
    if not results["rated_items"]:
        begun = [markdown_table(raters)] if raters else []
        return [f"None of the {results['items']} sentences has been rated yet, so there are no results.", *begun]
    systems = [
        {"system": system["system"], "mean": _interval(system), "items": str(system["items"])}
        for system in results["systems"]
    ]
    differences = [
        {
            "system": difference["system"],
            f"difference from {difference['baseline']}": _interval(difference),
            "wins": str(difference["wins"]),
            "ties": str(difference["ties"]),
            "losses": str(difference["losses"]),
            "p (sign test)": f"{difference['sign_test']:.4f}",
        }
        for difference in results["differences"]
    ]
    agreement = _number(results["agreement"], 3)
    return [
        f"{results['rated_items']} of {results['items']} sentences have been rated; intervals of 95 % in brackets.",
        markdown_table(systems),
        markdown_table(differences),
        markdown_table(raters),
        f"agreement of the raters (Krippendorff's alpha, interval): {agreement}",
    ]


def _interval(row: Dict[str, Any]) -> str:
    return ABSENT if row["mean"] is None else f"{row['mean']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"


def _number(value: Optional[float], digits: int = 2) -> str:
    return ABSENT if value is None else f"{value:.{digits}f}"


def _percent(share: Optional[float]) -> str:
    return ABSENT if share is None else f"{100 * share:.0f} %"
