"""The cost rules of Prometheus, price and contract's limit written in: deploy/monitoring/rules/cost.yml."""

from __future__ import annotations

from cvprod.contract import load_contract
from cvprod.costs.placement import CLOUD_VM
from cvprod.costs.prices import Prices
from cvprod.repo import root

FILE = "deploy/monitoring/rules/cost.yml"
_TEXT = """\
# What the service costs while it runs. Written by `python -m cvprod.costs rules`: the price of a machine's hour is
# {machine} of cvprod/costs/prices.yaml ({item}, {region}, {value:g} {unit}); the limit is the contract's.
# Machines are counted by what Prometheus is told to scrape: one that is down is paid all the same.

groups:
  - name: inspection-cost
    rules:
      - record: inspection:price:eur_per_hour
        expr: vector({price:.6g})
      - record: inspection:cost:eur_per_hour
        expr: count(up{{job="inspection"}}) * scalar(inspection:price:eur_per_hour)
      - record: inspection:cost:eur_per_million
        expr: |
          inspection:cost:eur_per_hour
          / on () (sum(rate(cvprod_batch_images_sum[1h])) * 3600 / 1e6 > 0)

      # Six hours, so that a change of rolls or a night without traffic is no alarm.
      - alert: TilesTooDear
        expr: inspection:cost:eur_per_million > {limit:g}
        for: 6h
        labels: {{severity: ticket}}
        annotations:
          summary: "A million tiles cost {{{{ $value | humanize }}}} EUR, the contract allows {limit:g}"
          description: "Too many machines for this load, or each does too little. Compare the load with capacity,
            scale down, or look for what made a tile slower."

      - alert: MachinesPaidForNothing
        expr: inspection:cost:eur_per_hour > 0 and on () sum(increase(cvprod_batch_images_sum[6h])) == 0
        for: 1h
        labels: {{severity: ticket}}
        annotations:
          summary: "{{{{ $value | humanize }}}} EUR an hour, and no tile for six hours"
          description: "Stop the machines, or find out why nothing reaches them."
"""


def text(prices: Prices) -> str:
    """The rule file for a price list."""
    machine = prices[CLOUD_VM]
    return _TEXT.format(
        machine=CLOUD_VM, item=machine.item, region=machine.region, value=machine.value, unit=machine.unit,
        price=prices.amount(CLOUD_VM, "EUR/h"), limit=load_contract().cost_per_million_tiles_eur.limit,
    )  # fmt: skip


def write(prices: Prices) -> str:
    """Write the rule file; returns its path below the repository."""
    (root() / FILE).write_text(text(prices), encoding="utf-8")
    return FILE
