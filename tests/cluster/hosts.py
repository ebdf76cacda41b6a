"""Made-up machines for tests: each with its own network, processes, memory, home, and sshd.

They are Linux namespaces, joined by a bridge in a namespace of its own that has no way to the
machine's network. Needs root, and Debian's openssh-server, rsync and iproute2.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
INIT = Path(__file__).with_name("host_init.sh")
TOOLS = ("ip", "unshare", "nsenter", "rsync", "ssh", "ssh-keygen", "/usr/sbin/sshd", "curl")
SSHD = """\
Port 22
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PubkeyAuthentication yes
PasswordAuthentication no
UsePAM no
StrictModes no
PidFile none
"""


def why_not() -> str | None:
    """Why this machine can't make hosts, or None."""
    if os.geteuid() != 0:
        return "hosts in network namespaces need root"
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        return (
            f"hosts need {', '.join(missing)}: apt-get install openssh-server rsync iproute2 curl"
        )
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "--uts", "--ipc", "true"],
        capture_output=True,
        check=False,
    )
    return None if tried.returncode == 0 else f"no namespaces here: {tried.stderr.decode().strip()}"


def run(*command: str | Path, check: bool = True) -> str:
    """The output of a command; AssertionError, with what it said, where it fails."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@dataclass
class Host:
    """One made-up machine. `name` is its namespace's name too."""

    name: str
    address: str
    folder: Path
    network: str
    process: subprocess.Popen[bytes]
    home: Path

    def command(self, command: Sequence[str]) -> list[str]:
        """The command line that runs a command on this host, as root, from its home."""
        inner = self._first_process()
        enter = ["nsenter", f"--target={inner}", "--all", f"--wd={self.home}"]
        return [*enter, "env", "-i", f"HOME={self.home}", "bash", "--login", "-c", *command]

    def shell(self, script: str, check: bool = True) -> str:
        """What a script prints on this host."""
        return run(*self.command([f"source ~/.bashrc; {script}"]), check=check)

    def start(self, script: str, log: Path) -> subprocess.Popen[bytes]:
        """Run a script on this host in the background; what it prints goes to `log`."""
        with log.open("wb") as out:
            return subprocess.Popen(
                self.command([f"source ~/.bashrc; {script}"]),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def cut(self) -> None:
        """Pull its network cable."""
        run("ip", "-n", self.network, "link", "set", self.name, "down")

    def kill_raylet(self) -> None:
        """Kill Ray's agent on this host, without warning."""
        self.shell("kill -9 $(pgrep -x raylet)")

    def end(self) -> None:
        """Switch it off: all its processes die with its first."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        run("ip", "netns", "del", self.name, check=False)

    def _first_process(self) -> int:
        """Its process 1, as this machine numbers it."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text().split()[0])


@dataclass
class Network:
    """Hosts on one bridge; `folder` holds what each keeps. Addresses are 10.77.0.0/16."""

    folder: Path
    hosts: dict[str, Host] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.prefix = f"ns{uuid.uuid4().hex[:5]}"
        self.bridge = f"{self.prefix}br"
        run("ip", "netns", "add", self.bridge)
        run("ip", "-n", self.bridge, "link", "add", "bridge", "type", "bridge")
        run("ip", "-n", self.bridge, "link", "set", "bridge", "up")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / "key")

    @property
    def key(self) -> Path:
        """The private key that opens all hosts."""
        return self.folder / "key"

    def add(
        self,
        address: str,
        environment: Mapping[str, str],
        *,
        user: str = "lab",
        public_key: str | None = None,
    ) -> Host:
        """Switch a host on; returns when its sshd answers.

        environment: what its ~/.bashrc exports. user: another name of root's, with a home in /home
        (root's own may hold the Python that all hosts share).
        """
        name = f"{self.prefix}{len(self.hosts)}"
        folder = self.folder / name
        home = Path("/home") / user
        self._furnish(folder, environment, home, public_key)
        self._connect(name, address)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    *("ip", "netns", "exec", name, "unshare", "--mount", "--pid", "--fork"),
                    *("--uts", "--ipc", "--mount-proc", "--kill-child"),
                    *("bash", str(INIT), str(folder), str(PROJECT), str(home)),
                    str(folder / "sshd_config"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        host = Host(name, address, folder, self.bridge, process, home)
        self.hosts[name] = host
        self._wait(host)
        return host

    def remove(self) -> None:
        """Switch all hosts off and take the network away."""
        for host in self.hosts.values():
            host.end()
        run("ip", "netns", "del", self.bridge, check=False)

    def _furnish(
        self,
        folder: Path,
        environment: Mapping[str, str],
        home: Path,
        public_key: str | None,
    ) -> None:
        (folder / "home").mkdir(parents=True)
        (folder / "home" / ".bash_profile").write_text("source ~/.bashrc\n")
        exports = "".join(f"export {key}='{value}'\n" for key, value in environment.items())
        (folder / "home" / ".bashrc").write_text(exports)
        (folder / "authorized_keys").write_text(public_key or self._public_key())
        (folder / "sshd_config").write_text(SSHD.format(folder=folder))
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "host_key")
        # First, as ssh takes the home of the first whose number is its own.
        first, known = f"{home.name}:x:0:0::{home}:/bin/bash\n", Path("/etc/passwd").read_text()
        (folder / "passwd").write_text(first + known)

    def _public_key(self) -> str:
        return self.key.with_suffix(".pub").read_text()

    def _connect(self, name: str, address: str) -> None:
        """A cable from the host's eth0 to the bridge; its port there has the host's name."""
        run("ip", "netns", "add", name)
        run(*f"ip -n {self.bridge} link add {name} type veth peer name eth0 netns {name}".split())
        run(*f"ip -n {self.bridge} link set {name} master bridge up".split())
        run(*f"ip -n {name} addr add {address}/16 dev eth0".split())
        for link in ("lo", "eth0"):
            run(*f"ip -n {name} link set {link} up".split())
        # Nobody is there, but without a default route Ray takes 127.0.0.1 for the host's address.
        run(*f"ip -n {name} route add default via 10.77.255.254".split())

    def _wait(self, host: Host) -> None:
        """Until sshd listens, at most 20 s."""
        deadline = time.monotonic() + 20
        probe = ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/22"]
        listening = ["ip", "netns", "exec", host.name, *probe]
        while subprocess.run(listening, capture_output=True, check=False).returncode:
            log = (host.folder / "log").read_text()
            assert host.process.poll() is None, log
            assert time.monotonic() < deadline, f"no sshd on {host.name}: {log}"
            time.sleep(0.1)
