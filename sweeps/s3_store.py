"""S3, and services that speak its protocol, as a `Store`. Credentials by boto3's usual chain.

``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL`` names another service than Amazon's. Requests
are tried up to five times.
"""

# ruff: noqa: D102 - what a method does is said once, in Store

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore import exceptions as aws
from botocore.config import Config

from sweeps.storage import StorageError, Store, checked_name, refuse_credentials

_SETTINGS = Config(
    retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=10, read_timeout=60
)
_NETWORK_ERRORS = (aws.HTTPClientError, aws.EndpointConnectionError)
_MISSING_CREDENTIALS = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.ProfileNotFound,
)

# S3's error code -> what it means to a person
_REASONS = {
    "NoSuchBucket": "the bucket does not exist: make it, or correct the URI",
    "InvalidAccessKeyId": "the service does not know the access key: check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key is wrong: check AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "the credentials have expired: sign in again",
    "AccessDenied": "these credentials have no right to do that there",
    "403": "these credentials are wrong or have no right to do that there",
}
_REASONS |= dict.fromkeys(
    ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"),
    "the bucket is in another region: set AWS_DEFAULT_REGION to the bucket's",
)


class _ExistsError(Exception):
    """The object is there, or is being written by another."""


@dataclass(frozen=True)
class S3Store(Store):
    """The objects below ``s3://bucket/prefix``; `prefix` has no slash at its ends, or is empty."""

    bucket: str
    prefix: str = ""

    @classmethod
    def at(cls, uri: str) -> "S3Store":
        """The store at ``s3://bucket/prefix``."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        if not bucket or ".." in prefix.split("/"):
            raise StorageError(f"an S3 address must be s3://bucket/prefix, not {uri}")
        return cls(bucket, prefix.strip("/"))

    @property
    def _client(self) -> Any:
        refuse_credentials(os.environ.get(f"AWS_ENDPOINT_URL{kind}", "") for kind in ("", "_S3"))
        return _client(frozenset(item for item in os.environ.items() if item[0].startswith("AWS_")))

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{checked_name(name)}".lstrip("/")

    def child(self, name: str) -> Store:
        return S3Store(self.bucket, self._key(name).rstrip("/"))

    def write_bytes(self, name: str, data: bytes) -> None:
        with _explained(f"{self.uri}/{name} can't be written"):
            self._client.put_object(Bucket=self.bucket, Key=self._key(name), Body=data)

    def create_bytes(self, name: str, data: bytes) -> None:
        try:
            with _explained(f"{self.uri}/{name} can't be written"):
                self._client.put_object(
                    Bucket=self.bucket, Key=self._key(name), Body=data, IfNoneMatch="*"
                )
        except _ExistsError:  # or the answer to a request was lost, and it was sent again
            if self.read_bytes(name) != data:
                raise FileExistsError(f"{self.uri}/{name} exists") from None

    def write_file(self, name: str, path: Path) -> None:
        with path.open("rb") as source, _explained(f"{self.uri}/{name} can't be written"):
            self._client.put_object(Bucket=self.bucket, Key=self._key(name), Body=source)

    def read_bytes(self, name: str) -> bytes:
        with _explained(f"{self.uri}/{name} can't be read"):
            answer = self._client.get_object(Bucket=self.bucket, Key=self._key(name))
            content: bytes = answer["Body"].read()
            return content

    def exists(self, name: str) -> bool:
        with _explained(f"{self.uri} can't be listed"):
            return self._object(self._key(name)) is not None

    def list(self, prefix: str = "") -> list[str]:
        folder = f"{self.prefix}/".lstrip("/")
        with _explained(f"{self.uri} can't be listed"):
            return sorted(
                found["Key"].removeprefix(folder) for found in self._objects(folder + prefix)
            )

    def delete(self, name: str) -> None:
        with _explained(f"{self.uri}/{name} can't be removed"):
            self._client.delete_object(Bucket=self.bucket, Key=self._key(name))

    def fetch(self, cache: Path, beside: Sequence[str] = ()) -> Path:
        """What `sweeps.storage.fetch` says, for the object or the objects that this store names."""
        with _explained(f"{self.uri} can't be fetched"):
            remote = self._remote(beside)
            if not remote:
                raise FileNotFoundError(f"there is no object and no folder {self.uri}")
            kept = cache / _fingerprint(self.uri, remote)
            if not kept.exists():
                self._download(remote, kept, beside)
            return kept / self._name

    @property
    def _name(self) -> str:
        """The last part of the address."""
        return PurePosixPath(self.prefix or self.bucket).name

    def _remote(self, beside: Sequence[str]) -> dict[str, tuple[str, int, str]]:
        """Path of each file that a fetch makes -> its object's key, size in bytes and ETag."""
        itself = self._object(self.prefix) if self.prefix else None
        if itself:
            folder = self.prefix.removesuffix(self._name)
            siblings = filter(None, (self._object(folder + name) for name in beside))
            found, start = [itself, *siblings], ""
        else:
            folder, start = f"{self.prefix}/".lstrip("/"), f"{self._name}/"
            found = [*self._objects(folder)]
        return {
            start + item["Key"].removeprefix(folder): (item["Key"], item["Size"], item["ETag"])
            for item in found
            if not item["Key"].endswith("/")  # some tools mark folders by empty objects
        }

    def _download(
        self, remote: dict[str, tuple[str, int, str]], kept: Path, beside: Sequence[str]
    ) -> None:
        """Put the objects below `kept`, which appears when all of them are there."""
        unfinished = kept.with_name(f".{kept.name}.{uuid.uuid4().hex}")
        try:
            self._copy(remote, unfinished)
            if self._remote(beside) != remote:
                raise StorageError(f"{self.uri} changed while it was fetched: try again")
            unfinished.replace(kept)
        except OSError as error:
            if kept.exists():
                return  # another process was faster; its copy is as good
            if isinstance(error, StorageError):
                raise
            raise StorageError(
                f"what is fetched can't be kept in {kept.parent} ({error.strerror}): set "
                "NUCSEG_CACHE to a folder that can be written"
            ) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def _copy(self, remote: dict[str, tuple[str, int, str]], target: Path) -> None:
        """Download the objects into the folder `target`, several at once."""
        paths = {name: target / _file_name(name) for name in remote}
        with create_transfer_manager(self._client, TransferConfig()) as manager:
            transfers = []
            for name, (key, _, _) in remote.items():
                paths[name].parent.mkdir(parents=True, exist_ok=True)
                transfers.append(manager.download(self.bucket, key, str(paths[name])))
            for transfer in transfers:
                transfer.result()
        for name, (key, size, _) in remote.items():
            if (came := paths[name].stat().st_size) != size:
                raise StorageError(f"s3://{self.bucket}/{key} has {size} bytes, but {came} came")

    def _objects(self, prefix: str) -> Iterator[dict[str, Any]]:
        """The service's entries of all objects whose keys begin with `prefix`."""
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            yield from page.get("Contents", [])

    def _object(self, key: str) -> dict[str, Any] | None:
        """The service's entry of one object; a listing, since its errors say more than HEAD's."""
        page = self._client.list_objects_v2(Bucket=self.bucket, Prefix=key, MaxKeys=1)
        found: dict[str, Any] | None = next(iter(page.get("Contents", [])), None)
        return found if found and found["Key"] == key else None


def _file_name(name: str) -> str:
    """The name of an object, if a file may bear it."""
    try:
        return checked_name(name)
    except ValueError as error:
        raise StorageError(f"an object can't be downloaded: {error}") from None


@cache
def _client(environment: frozenset[tuple[str, str]]) -> Any:
    """The process's client for these AWS_ variables: slow to make, and safe between threads."""
    # Not boto3.client, whose session keeps the first credentials that it ever found.
    return boto3.Session().client("s3", config=_SETTINGS)


def _fingerprint(uri: str, remote: dict[str, tuple[str, int, str]]) -> str:
    """Name, in the cache, of exactly this content at this address."""
    return hashlib.sha256(json.dumps([uri, sorted(remote.items())]).encode()).hexdigest()[:32]


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn the library's many errors into one sentence: `what` went wrong, and why."""
    try:
        yield
    except aws.ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in ("PreconditionFailed", "ConditionalRequestConflict"):
            raise _ExistsError from None
        if code in ("NoSuchKey", "404"):
            raise FileNotFoundError(f"{what}: there is no such object") from None
        raise StorageError(f"{what}: {_REASONS.get(code, error)}") from error
    except _MISSING_CREDENTIALS as error:
        raise StorageError(
            f"{what}: no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            f"or AWS_PROFILE, or use a machine with a role ({error})"
        ) from error
    except _NETWORK_ERRORS as error:
        raise StorageError(
            f"{what}: the service can't be reached; check the network and AWS_ENDPOINT_URL "
            f"({error})"
        ) from error
    except aws.ParamValidationError as error:
        raise StorageError(f"{what}: that is no valid name of a bucket and an object") from error
    except (aws.BotoCoreError, Boto3Error) as error:
        raise StorageError(f"{what}: {error}") from error
