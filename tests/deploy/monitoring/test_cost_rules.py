"""The cost rules: written from price list and contract, and held by promtool to their own tests."""

import re
import shutil
import subprocess

import pytest
import yaml

from cvprod import contract
from cvprod.costs import load_prices, rules
from cvprod.repo import root

FOLDER = root() / "deploy/monitoring"
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="needs promtool (Debian package prometheus)"
)


def promtool(*words):
    return subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, check=False)


def test_price_and_limit_are_those_of_list_and_contract():
    groups = yaml.safe_load((root() / rules.FILE).read_text())["groups"]
    every = {rule.get("record") or rule["alert"]: rule for group in groups for rule in group["rules"]}
    price = float(re.fullmatch(r"vector\(([\d.]+)\)", every["inspection:price:eur_per_hour"]["expr"])[1])
    assert price == pytest.approx(load_prices().amount(rules.CLOUD_VM, "EUR/h"), rel=1e-5)
    limit = contract.load_contract().cost_per_million_tiles_eur.limit
    assert every["TilesTooDear"]["expr"].endswith(f"> {limit:g}")
    assert f"allows {limit:g}" in every["TilesTooDear"]["annotations"]["summary"]


@needs_promtool
def test_promtool_accepts_the_rules_and_they_do_what_their_tests_say():
    for words in (("check", "rules", root() / rules.FILE), ("test", "rules", FOLDER / "cost_test.yml")):
        done = promtool(*words)
        assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("* 3600 / 1e6", "* 60 / 1e6"),
        ('count(up{job="inspection"})', 'sum(up{job="inspection"})'),
        ("for: 6h", "for: 6m"),
        ("> 0.1", "> 100"),
        ("== 0", "> 0"),
    ],
)
def test_the_tests_fail_on_a_wrong_rule(tmp_path, right, wrong):
    text = (root() / rules.FILE).read_text()
    assert right in text
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/cost.yml").write_text(text.replace(right, wrong, 1))
    shutil.copy(FOLDER / "cost_test.yml", tmp_path)
    assert promtool("test", "rules", tmp_path / "cost_test.yml").returncode != 0
