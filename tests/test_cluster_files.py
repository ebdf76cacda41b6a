"""cluster.yaml and cluster-local.yaml are what Ray and EC2 understand, and open to nobody else."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

PROJECT = Path(__file__).parents[1]
FILES = ("cluster.yaml", "cluster-local.yaml")
POLICIES = sorted((PROJECT / "docs" / "aws").glob("*.json"))


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((PROJECT / name).read_text())
    return content


def unknown_keys(node_config: dict[str, Any]) -> list[str]:
    """What EC2's RunInstances would refuse or ignore, by botocore's model of it."""
    model = botocore.session.get_session().get_service_model("ec2")
    return sorted(_unknown(node_config, model.operation_model("RunInstances").input_shape))


def _unknown(value: Any, shape: Any, path: str = "") -> list[str]:
    if shape.type_name == "list":
        return [key for each in value for key in _unknown(each, shape.member, path)]
    if shape.type_name != "structure":
        return []
    return [
        key
        for name, inner in value.items()
        for key in (
            _unknown(inner, shape.members[name], f"{path}{name}.")
            if name in shape.members
            else [path + name]
        )
    ]


@pytest.fixture(params=read("cluster.yaml")["available_node_types"])
def node(request):
    """Each kind of machine of cluster.yaml."""
    return read("cluster.yaml")["available_node_types"][request.param]


@pytest.mark.parametrize("name", FILES)
def test_ray_accepts_it(name):
    validate_config(prepare_config(copy.deepcopy(read(name))))


def test_ray_refuses_a_key_that_it_does_not_know():
    with pytest.raises(Exception, match="workers_max"):
        validate_config(prepare_config(read("cluster.yaml") | {"workers_max": 3}))


def test_ec2_knows_every_setting_of_a_machine(node):
    # SubnetIds is Ray's own: it makes a network interface of it.
    assert [key for key in unknown_keys(node["node_config"]) if key != "SubnetIds"] == []


@pytest.mark.parametrize("wrong", ["SubnetIDs", "ImageID", "MetadataOptions.HttpToken"])
def test_a_misspelt_setting_is_found(wrong):
    first, _, second = wrong.partition(".")
    assert unknown_keys({first: {second: "required"} if second else "x"}) == [wrong]


def test_every_machine_has_an_image_a_role_of_its_own_and_guarded_metadata(node):
    config = node["node_config"]
    assert config["ImageId"].startswith("resolve:ssm:/aws/service/deeplearning/ami/x86_64/")
    assert " " not in config["ImageId"]
    assert config["IamInstanceProfile"]["Name"] in ("nucseg-head", "nucseg-worker")
    assert config["MetadataOptions"] == {"HttpTokens": "required"}
    assert "SubnetId" not in config  # Ray would ignore it


def test_the_head_trains_nothing_and_workers_are_spot_machines_from_none_to_some():
    asked = read("cluster.yaml")
    kinds = asked["available_node_types"]
    assert kinds[asked["head_node_type"]]["resources"]["CPU"] == 0
    assert kinds["t4"]["min_workers"] == 0
    assert kinds["t4"]["node_config"]["InstanceType"] == "g4dn.xlarge"
    assert kinds["t4"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}


def test_the_second_kind_of_worker_is_ready_to_be_uncommented():
    text = (PROJECT / "cluster.yaml").read_text()
    begin, end = text.index("  # a10g"), text.index("# Everything, pinned")
    plain = text[:begin] + re.sub("(?m)^  # ", "  ", text[begin:end]) + text[end:]
    kind = yaml.safe_load(plain)["available_node_types"]["a10g"]
    assert unknown_keys(kind["node_config"]) == []
    assert kind["resources"] == {"CPU": 4, "GPU": 1}


def test_machines_are_let_in_by_a_group_of_the_users_as_rays_own_is_open_to_the_world(node):
    assert node["node_config"]["SecurityGroupIds"] == ["sg-00000000000000000"]  # nobody's
    assert "security_group" not in read("cluster.yaml")["provider"]


def test_workers_may_be_ended_only_by_their_own_cluster():
    head = (PROJECT / "docs" / "aws" / "head-policy.json").read_text()
    assert f'"ec2:ResourceTag/ray-cluster-name": "{read("cluster.yaml")["cluster_name"]}"' in head


@pytest.mark.parametrize("name", FILES)
def test_ray_asks_for_the_token_and_shows_its_dashboard_to_the_head_alone(name):
    asked = read(name)
    assert any("RAY_AUTH_MODE=token" in command for command in asked["setup_commands"])
    assert "chmod 600 ~/.ray/auth_token" in asked["setup_commands"]
    assert "~/.ray/auth_token" in asked["file_mounts"].values()
    assert "--dashboard-host=127.0.0.1" in asked["head_start_ray_commands"][-1]


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.name)
def test_roles_may_use_one_bucket_and_no_right_is_a_wildcard(path):
    for statement in json.loads(path.read_text())["Statement"]:
        actions = statement["Action"]
        for action in [actions] if isinstance(actions, str) else actions:
            assert "*" not in action
            if action.startswith("s3:"):
                assert statement["Resource"].startswith("arn:aws:s3:::YOUR-BUCKET")
