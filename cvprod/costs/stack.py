"""A month of the stacks in terraform/, line by line: containers that are always on, and what stands around them.

Sizes come from the stacks' own variables. Left out is what comes to cents: alarms, scans, artifacts of some megabytes.
"""

from __future__ import annotations

import math
import re

from cvprod.contract import Contract, load_contract
from cvprod.costs.bill import HOURS_PER_MONTH, Line, Traffic, balancer_units, line
from cvprod.costs.prices import Prices
from cvprod.repo import project_file

CLOUDS = ("aws", "gcp", "azure")
#: AWS has an endpoint for each of four services in each of two zones.
ENDPOINTS = 4 * 2
#: Google's rules: what is not for callers, the plant, the rest.
FIREWALL_RULES = 3


def default(provider: str, variable: str) -> float:
    """The default of a number among the variables of a stack. Raises ValueError where it has none."""
    text = project_file(f"terraform/{provider}/variables.tf").read_text("utf-8")
    block = re.search(rf'^variable "{variable}" \{{.*?^\}}', text, re.M | re.S)
    found = re.search(r"^  default += ([\d.]+)$", block[0] if block else "", re.M)
    if found is None:
        raise ValueError(f"terraform/{provider}/variables.tf has no number as the default of {variable!r}.")
    return float(found[1])


def row(contract: Contract) -> int:
    """Tiles that lie side by side across the strip: what one request holds."""
    line_ = contract.line
    return math.ceil(line_.strip_width_mm / (line_.tile_pixels * line_.mm_per_pixel))


def monthly(prices: Prices, provider: str, traffic: Traffic) -> list[Line]:
    """The bill of one stack. `traffic.machines` and `traffic.logged` do not count: instances are the stack's, and each
    request leaves a line in the log. Raises ValueError for a provider without a stack.
    """
    if provider not in CLOUDS:
        raise ValueError(f"no stack for {provider!r}; there are {', '.join(CLOUDS)}.")
    instances = default(provider, "min_instances")
    vcpu, gib = instances * default(provider, "vcpu"), instances * default(provider, "memory_gib")
    hours, seconds = HOURS_PER_MONTH, HOURS_PER_MONTH * 3600
    requests = traffic.tiles / row(load_contract())
    gb_in, gb_out = traffic.tiles * traffic.tile_bytes / 1e9, traffic.tiles * traffic.answer_bytes / 1e9
    gb_log = requests * traffic.log_bytes / 1e9
    quantities = {
        "aws": [
            ("virtual CPUs", "aws_fargate_vcpu_eu", vcpu * hours),
            ("memory", "aws_fargate_gb_eu", gib * hours),
            ("balancer", "aws_balancer", hours),
            ("what passes it", "aws_balancer_unit", balancer_units(traffic) * traffic.hours),
            ("endpoints", "aws_endpoint", ENDPOINTS * hours),
            ("answers", "aws_egress", gb_out),
            ("log", "aws_logs", gb_log),
            ("key", "aws_key", 1),
            ("secret", "aws_secret", 1),
            ("zone", "aws_zone", 1),
        ],
        "gcp": [
            ("virtual CPUs", "gcp_run_vcpu_eu", vcpu * seconds),
            ("memory", "gcp_run_gib_eu", gib * seconds),
            ("balancer", "gcp_balancer", hours),
            ("what passes it", "gcp_balancer_gb", gb_in + gb_out),
            ("firewall", "gcp_firewall", 1),
            ("its rules", "gcp_firewall_rule", FIREWALL_RULES),
            ("requests through it", "gcp_firewall_call", requests / 1e6),
            ("answers", "gcp_egress", gb_out),
            ("log", "gcp_logs", gb_log * 1e9 / 2**30),
        ],
        "azure": [
            ("virtual CPUs", "azure_container_vcpu_us", vcpu * seconds),
            ("memory", "azure_container_gib_us", gib * seconds),
            ("requests", "azure_container_call", requests / 1e6),
            ("registry", "azure_registry_standard", 1),
            ("answers", "azure_egress", gb_out),
            ("log", "azure_logs", gb_log),
        ],
    }[provider]
    return [line(prices, what, name, quantity) for what, name, quantity in quantities]
