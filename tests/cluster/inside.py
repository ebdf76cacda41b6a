"""What tests do on a made-up host, where alone its network can be reached: `python inside.py ...`.

bucket NAME           wait for the S3 service, make a bucket
fetch URI FOLDER      copy what is below an s3:// URI, checkpoints aside
ec2 ADDRESS           answer as EC2 and IAM do, on port 5000
account               make what cluster.yaml needs of AWS; prints subnet, image and group
watch FILE            write down, twice a second, the machines that EC2 has; until it is ended
terminate ADDRESS     end the machine of that address, as EC2 does with spot machines
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

PROJECT = Path(__file__).resolve().parents[2]


def bucket(name: str) -> None:
    s3 = boto3.client("s3")
    deadline = time.monotonic() + 60
    while True:
        try:
            s3.create_bucket(Bucket=name)
            s3.put_object(Bucket=name, Key="ready", Body=b"")
            return
        except (BotoCoreError, ClientError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def fetch(uri: str, folder: str) -> None:
    from sweeps.storage import open_store  # noqa: PLC0415 - the other commands need it not

    store = open_store(uri)
    for name in store.list():
        if not name or name.startswith("checkpoints"):  # Tune marks folders by empty objects
            continue
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.read_bytes(name))


def account() -> None:
    ec2, iam = boto3.client("ec2"), boto3.client("iam")
    for role in ("nucseg-head", "nucseg-worker"):
        policy = f"{role.removeprefix('nucseg-')}-policy.json"
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=_document("trust-policy.json"))
        iam.put_role_policy(RoleName=role, PolicyName=role, PolicyDocument=_document(policy))
        iam.create_instance_profile(InstanceProfileName=role)
        iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.64.0/18")["Subnet"]["SubnetId"]
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    group = ec2.create_security_group(
        GroupName="nucseg", Description="nucleus segmentation sweeps", VpcId=vpc
    )["GroupId"]
    itself = [{"GroupId": group}]
    ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": itself}]
    )
    print(json.dumps({"subnet": subnet, "image": image, "group": group}))


def ec2(address: str) -> None:
    from moto.ec2.responses.instances import InstanceResponse  # noqa: PLC0415
    from moto.server import main  # noqa: PLC0415

    usual = InstanceResponse._get_param

    def ample(self: Any, name: str, if_none: Any = None) -> Any:
        """Of machines asked for, moto starts the least number; EC2, if it has them, the largest."""
        return usual(self, "MaxCount" if name == "MinCount" else name, if_none)

    InstanceResponse._get_param = ample
    main(["-H", address, "-p", "5000"])


def _document(name: str) -> str:
    return (PROJECT / "docs" / "aws" / name).read_text().replace("YOUR-BUCKET", "sweeps")


def _machines() -> list[dict[str, Any]]:
    found = boto3.client("ec2").describe_instances()["Reservations"]
    return [
        {
            "id": machine["InstanceId"],
            "state": machine["State"]["Name"],
            "address": machine.get("PrivateIpAddress"),
            "type": machine["InstanceType"],
            "spot": machine.get("InstanceLifecycle") == "spot",
            "profile": machine.get("IamInstanceProfile", {}).get("Arn", "").rpartition("/")[2],
        }
        for reservation in found
        for machine in reservation["Instances"]
    ]


def watch(file: str) -> None:
    path = Path(file)
    while True:
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(_machines()))
        unfinished.replace(path)
        time.sleep(0.5)


def terminate(address: str) -> None:
    (machine,) = (each["id"] for each in _machines() if each["address"] == address)
    boto3.client("ec2").terminate_instances(InstanceIds=[machine])


if __name__ == "__main__":
    commands = {each.__name__: each for each in (bucket, fetch, ec2, account, watch, terminate)}
    commands[sys.argv[1]](*sys.argv[2:])
