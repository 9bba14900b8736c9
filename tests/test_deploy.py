"""What is deployed: the compose files, and the configurations in them with the real servers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
from ruamel.yaml import YAML
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from tests.servers import Server, free_port, run_promtool, running_alertmanager, running_jupyter, running_nginx
from tsf.alarm.rulefile import RuleTerms, rule_file
from tsf.params import TrainParams

ROOT = Path(__file__).parents[1]
TOKEN = "of-this-test"
BASE = "/team/"


def compose(name: str) -> dict[str, Any]:
    """A compose file, its own tags left out."""
    found: dict[str, Any] = YAML().load((ROOT / name).read_text("utf-8"))
    return found


SERVICES: dict[str, Any] = compose("compose.yaml")["services"]
IN_PRODUCTION: dict[str, Any] = compose("compose.prod.yaml")["services"]


def answers(program: list[str]) -> bool:
    """Whether this is a Docker Compose that knows the tags of compose.prod.yaml."""
    if not shutil.which(program[0]):
        return False
    done = subprocess.run([*program, "version", "--short"], capture_output=True, text=True, check=False)
    numbers = [int(number) for number in re.findall(r"\d+", done.stdout)[:3]]
    return done.returncode == 0 and numbers >= [2, 24, 4]


class TestCompose:
    @pytest.mark.parametrize("name", SERVICES)
    def test_each_service_says_whether_it_is_well_and_comes_back(self, name: str) -> None:
        service = SERVICES[name]
        assert service["healthcheck"]["test"][0] == "CMD"
        assert service["restart"] == "unless-stopped"
        assert service["image"] == "tsf" or re.search(r":v?\d+(\.\d+)+(-alpine)?$", service["image"])

    @pytest.mark.parametrize("name", SERVICES)
    def test_what_is_mounted_from_the_project_is_there(self, name: str) -> None:
        for service in (SERVICES[name], IN_PRODUCTION.get(name, {})):
            sources = [text.split(":")[0] for text in service.get("volumes", [])]
            for source in (source for source in sources if source.startswith("./") and source != "./rules"):
                assert (ROOT / source).is_file(), source

    def test_grafana_asks_its_maker_for_nothing(self) -> None:
        said = SERVICES["grafana"]["environment"]
        for name in ("REPORTING_ENABLED", "CHECK_FOR_UPDATES", "CHECK_FOR_PLUGIN_UPDATES"):
            assert said[f"GF_ANALYTICS_{name}"] == "false"
        assert said["GF_NEWS_NEWS_FEED_ENABLED"] == "false"
        assert said["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"

    def test_only_this_machine_gets_at_the_services(self) -> None:
        published = [port for service in SERVICES.values() for port in service.get("ports", [])]
        assert len(published) == 5
        assert all(port.startswith("127.0.0.1:") for port in published)

    def test_in_production_only_nginx_is_published_and_all_are_limited(self) -> None:
        for name in SERVICES.keys() - {"fleet", "nginx"}:
            assert "ports" not in SERVICES[name] or IN_PRODUCTION[name]["ports"] == []
        assert IN_PRODUCTION["nginx"]["ports"] == ["80:80", "443:443"]
        assert IN_PRODUCTION["fleet"]["profiles"]
        for name in SERVICES.keys() - {"fleet"}:
            assert {"cpus", "memory"} <= {*IN_PRODUCTION[name]["deploy"]["resources"]["limits"]}

    @pytest.mark.parametrize("over", ["compose.prod.yaml", "compose.gpu.yaml"])
    def test_an_image_without_a_version_is_one_that_is_built_here(self, over: str) -> None:
        """Compose would ask a registry for any other, and stop where it has none."""
        changed = compose(over)["services"]
        both = {name: {**service, **changed.get(name, {})} for name, service in SERVICES.items()}
        ours = {service["image"] for service in both.values() if service["image"].startswith("tsf")}
        assert ours == {service["image"] for service in both.values() if "build" in service}

    @pytest.mark.parametrize("over", ["prod", "gpu"])
    def test_docker_compose_itself_reads_the_files_as_they_are_meant(self, over: str) -> None:
        program = next((words for words in (["docker", "compose"], ["docker-compose"]) if answers(words)), None)
        if program is None:
            pytest.skip("docker compose is not in PATH")
        files = ["--env-file", os.devnull, "--file", "compose.yaml", "--file", f"compose.{over}.yaml"]
        done = subprocess.run(
            [*program, *files, "config", "--format", "json"], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        services = json.loads(done.stdout)["services"]
        published = {
            name: [port["published"] for port in one["ports"]] for name, one in services.items() if "ports" in one
        }
        if over == "prod":
            assert published == {"nginx": ["80", "443"]}
            assert "fleet" not in services
        else:
            assert services["lab"]["image"] == services["fleet"]["image"] == "tsf:gpu"

    def test_secrets_are_files_that_git_ignores_and_no_image_holds(self) -> None:
        secrets = [compose(name)["secrets"] for name in ("compose.yaml", "compose.prod.yaml")]
        files = [entry["file"] for entries in secrets for entry in entries.values()]
        assert all(file.startswith(".secrets/") for file in files)
        ignored = subprocess.run(["git", "check-ignore", *files], cwd=ROOT, capture_output=True, text=True, check=False)
        assert ignored.stdout.split() == files
        assert ".secrets" in (ROOT / ".dockerignore").read_text().splitlines()


@pytest.mark.servers
class TestServers:
    def test_prometheus_takes_its_configuration_with_the_rules_of_every_task(self, tmp_path: Path) -> None:
        text = (ROOT / "deploy/prometheus.yml").read_text("utf-8")
        (tmp_path / "token").write_text(TOKEN)
        (tmp_path / "prometheus.yml").write_text(text.replace("/run/secrets/jupyter-token", str(tmp_path / "token")))
        (tmp_path / "rules/tests").mkdir(parents=True)
        rule = "groups: [{name: a, rules: [{record: a:b, expr: vector(1)}]}]"
        (tmp_path / "rules/storage.yml").write_text(rule)
        (tmp_path / "rules/tests/storage.yml").write_text("rule_files: [../storage.yml]\n")  # no rules: not to be read
        done = run_promtool("check", "config", str(tmp_path / "prometheus.yml"))
        assert done.returncode == 0, done.stderr
        assert "1 rule files found" in done.stdout

    def test_alertmanager_takes_its_configuration(self, tmp_path: Path) -> None:
        text = (ROOT / "deploy/alertmanager.yml").read_text("utf-8")
        with running_alertmanager(tmp_path, text) as server:
            receivers = requests.get(f"{server.url}/api/v2/receivers", timeout=10).json()
        assert [receiver["name"] for receiver in receivers] == ["tickets", "pages", "nobody"]


def test_alerts_are_grouped_and_routed_by_labels_that_they_have() -> None:
    route = YAML(typ="safe").load((ROOT / "deploy/alertmanager.yml").read_text("utf-8"))["route"]
    rules = YAML(typ="safe").load(rule_file(RuleTerms("storage", labels=TrainParams().dimensions)))["groups"][0][
        "rules"
    ]
    [breach, *_] = [rule for rule in rules if rule.get("alert") == "TsfBreachSoon"]
    labels = {"alertname", *breach["labels"], *TrainParams().dimensions}
    assert {*route["group_by"]} <= labels
    assert {text.split()[0] for one in route["routes"] for text in one["matchers"]} <= labels


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_jupyter(tmp_path_factory.mktemp("jupyter"), TOKEN, BASE) as server:
        yield server


@contextmanager
def proxy(folder: Path, name: str, jupyter: Server, places: Mapping[str, str]) -> Iterator[Server]:
    """nginx with deploy/nginx/`name` before `jupyter`; places: what is elsewhere here, there -> here."""
    text, lab = ((ROOT / "deploy/nginx" / file).read_text("utf-8") for file in (name, "lab.conf"))
    assert "http://lab:8888" in lab
    (folder / "lab.conf").write_text(lab.replace("http://lab:8888", jupyter.url))
    address = f"127.0.0.1:{free_port()}"
    moved = {"listen 80": f"listen {address}", "/etc/nginx/lab.conf": str(folder / "lab.conf"), **places}
    for there, here in moved.items():
        assert there in text
        text = text.replace(there, here)
    with running_nginx(folder, text, f"http://{address}") as server:
        yield server


@pytest.fixture(scope="module")
def proxied(jupyter: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    """Addresses of nginx with the configuration of production, plain and with TLS, and the authority to trust."""
    folder, authority, secure = tmp_path_factory.mktemp("nginx"), trustme.CA(), free_port()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(folder / "tls-key")
    certificate.cert_chain_pems[0].write_to_path(folder / "tls-certificate")
    places = {"listen 443": f"listen 127.0.0.1:{secure}", "/run/secrets": str(folder)}
    with proxy(folder, "https.conf", jupyter, places) as server:
        yield server.url.replace("127.0.0.1", "localhost"), f"https://localhost:{secure}", str(folder / "authority.pem")


@pytest.mark.servers
def test_without_tls_nginx_hands_on_what_this_machine_asks(jupyter: Server, tmp_path: Path) -> None:
    with proxy(tmp_path, "http.conf", jupyter, {}) as server:
        assert requests.get(f"{server.url}/nginx-health", timeout=10).status_code == 204
        assert (
            requests.get(f"{server.url}{BASE}api", timeout=10).json()
            == requests.get(f"{jupyter.url}{BASE}api", timeout=10).json()
        )


@pytest.mark.servers
class TestNginx:
    def test_plain_http_leads_to_tls_and_says_that_it_is_well(self, proxied: tuple[str, str, str]) -> None:
        plain, _, _ = proxied
        assert requests.get(f"{plain}/nginx-health", timeout=10).status_code == 204
        moved = requests.get(f"{plain}{BASE}lab?tsf=tasks", timeout=10, allow_redirects=False)
        assert (moved.status_code, moved.headers["Location"]) == (308, f"https://localhost{BASE}lab?tsf=tasks")

    def test_jupyter_answers_under_its_base_url_to_those_with_the_token(self, proxied: tuple[str, str, str]) -> None:
        _, secure, authority = proxied
        answer = requests.get(f"{secure}{BASE}api", timeout=10, verify=authority)
        assert answer.ok
        assert "max-age" in answer.headers["Strict-Transport-Security"]
        assert requests.get(f"{secure}{BASE}api/kernels", timeout=10, verify=authority).status_code == 403
        assert self.ask("GET", "kernels", proxied) == []

    def test_a_large_file_passes(self, proxied: tuple[str, str, str]) -> None:
        content = {"type": "file", "format": "text", "content": "x" * 3_000_000}
        assert self.ask("PUT", "contents/large.txt", proxied, content)["size"] == 3_000_000

    def test_a_kernel_speaks_through_it(self, proxied: tuple[str, str, str]) -> None:
        _, secure, authority = proxied
        kernel = self.ask("POST", "kernels", proxied, {})["id"]
        address = f"{secure.replace('https', 'wss')}{BASE}api/kernels/{kernel}/channels?token={TOKEN}"

        async def spoken() -> str:
            headers = {"Origin": secure}  # as a browser has it: another one would be refused
            socket = await websocket_connect(HTTPRequest(address, ca_certs=authority, headers=headers))
            header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "username": "", "session": "a",
                      "date": "2026-01-01T00:00:00Z", "version": "5.3"}  # fmt: skip
            content = {"code": "print(6 * 7)", "silent": False, "store_history": False}
            asked = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
            await socket.write_message(json.dumps(asked))
            printed = ""  # what one print writes may come in several messages
            while not printed.endswith("\n"):
                said = await socket.read_message()
                assert said is not None
                message = json.loads(said)
                if message["msg_type"] == "stream":
                    printed += message["content"]["text"]
            socket.close()
            return printed

        assert asyncio.run(asyncio.wait_for(spoken(), 60)) == "42\n"
        self.ask("DELETE", f"kernels/{kernel}", proxied)

    @staticmethod
    def ask(method: str, path: str, proxied: tuple[str, str, str], content: object = None) -> Any:
        _, secure, authority = proxied
        headers = {"Authorization": f"token {TOKEN}"}
        reply = requests.request(
            method, f"{secure}{BASE}api/{path}", json=content, headers=headers, timeout=60, verify=authority
        )
        reply.raise_for_status()
        return reply.json() if reply.content else None


def test_the_container_runs_as_the_owner_of_the_folder_and_never_as_root(tmp_path: Path) -> None:
    said = tmp_path / "compose"
    said.write_text('#!/bin/sh\necho "$TSF_USER $*"\n')
    said.chmod(0o755)
    environ = {name: value for name, value in os.environ.items() if name != "TSF_USER"}
    user = os.geteuid() or 1_234  # root may own the folder of another
    os.chown(tmp_path, user, -1)
    group = tmp_path.stat().st_gid
    command = ["make", "--no-print-directory", "-f", str(ROOT / "Makefile"), "up", f"COMPOSE={said}", "ARGS=lab"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    token = (tmp_path / ".secrets/jupyter-token").read_text()
    assert done.stdout.splitlines() == [
        f"{user}:{group} up --build --detach --wait lab",
        f"http://127.0.0.1:8080/lab?token={token}",
    ]
    assert re.fullmatch(r"[0-9a-f]{48}", token)
    assert (tmp_path / ".secrets").stat().st_mode & 0o777 == 0o700
    again = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    assert again.stdout == done.stdout
    refused = subprocess.run(command, cwd=tmp_path, env=environ | {"TSF_USER": "0:0"}, capture_output=True, text=True)
    assert refused.returncode
    assert "Jupyter does not run as root" in refused.stderr
