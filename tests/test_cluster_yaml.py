"""cluster.yaml: Ray's own validator takes it, and refuses broken copies of it; and it is closed by default."""

import copy
import warnings
from pathlib import Path

import pytest
import yaml

CLUSTER = Path(__file__).resolve().parent.parent / "cluster.yaml"


@pytest.fixture
def config():
    return yaml.safe_load(CLUSTER.read_text())


def validate(config):
    """Ray's validator; without a cloud or ssh, so instance types and images are not looked up."""
    with warnings.catch_warnings(action="ignore"):
        from ray.autoscaler._private.util import prepare_config, validate_config

        prepared = prepare_config(copy.deepcopy(config))
        validate_config(prepared)
    return prepared


def test_rays_validator_takes_it(config):
    prepared = validate(config)
    assert set(prepared["available_node_types"]) == {"head", "cpu_spot", "gpu"}
    assert prepared["available_node_types"]["head"]["max_workers"] == 0


def _breakages():
    return {
        "an unknown key": lambda config: config.update(node_types={}),
        "a wrong type": lambda config: config.update(max_workers="many"),
        "an unknown provider": lambda config: config["provider"].update(type="nowhere"),
        "no such head": lambda config: config.update(head_node_type="master"),
        "no resources": lambda config: config["available_node_types"]["gpu"].pop("resources"),
        "more workers at least than at most": lambda config: (
            config.update(max_workers=0) or config["available_node_types"]["gpu"].update(min_workers=9)
        ),
        "a command that is no list": lambda config: config.update(setup_commands="make env"),
    }


@pytest.mark.parametrize("what", _breakages())
def test_a_broken_copy_is_refused(config, what):
    _breakages()[what](config)
    with pytest.raises(Exception):  # noqa: B017  Ray raises jsonschema's errors, its own, ValueError and TypeError
        validate(config)


def test_the_head_has_no_work_and_cpu_workers_are_spot(config):
    types = config["available_node_types"]
    assert types["head"]["resources"] == {"CPU": 0}
    assert "--num-cpus=0" in " ".join(config["head_start_ray_commands"])
    assert types["cpu_spot"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert types["gpu"]["resources"]["GPU"] == 1 and types["cpu_spot"]["min_workers"] == 0


def test_every_node_wants_the_token_and_the_dashboard_is_on_loopback(config):
    starts = [
        line for kind in ("head", "worker") for line in config[f"{kind}_start_ray_commands"] if "ray start" in line
    ]
    assert len(starts) == 2 and all("RAY_AUTH_MODE=token" in line for line in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert "/home/ubuntu/.ray/auth_token" in config["file_mounts"]


def test_no_credentials_are_copied_and_every_machine_has_a_role(config):
    assert not any(".aws" in path for path in config["file_mounts"])
    assert all(kind["node_config"]["IamInstanceProfile"] for kind in config["available_node_types"].values())
    assert any("make -C ~/medray env" in line for line in config["setup_commands"])
