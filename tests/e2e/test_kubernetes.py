"""The Kubernetes manifests and the Dockerfile of `deploy/`: by the schema, by each other, by the real command line."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from meshproxy_cli.cli.app import TREE
from meshproxy_cli.cli.lazy import load
from meshproxy_cli.cli.tree import Group
from meshproxy_cli.proxy.admin.health import ROUTES
from meshproxy_cli.proxy.config.server import load_config
from meshproxy_cli.proxy.process import supervisor
from meshproxy_cli.settings.references import check_reference

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = ROOT / "deploy" / "kubernetes"
MANIFESTS = sorted(path for path in DIRECTORY.glob("*.yaml") if path.name != "kustomization.yaml")
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
VERSIONS = ("1.30", kubernetes_validate.latest_version())
NAME = {"app.kubernetes.io/name": "meshproxy"}


@cache
def manifest(name: str) -> Any:
    return yaml.safe_load((DIRECTORY / f"{name}.yaml").read_text(encoding="utf-8"))


def pod() -> Any:
    return manifest("deployment")["spec"]["template"]["spec"]


def container() -> Any:
    [only] = pod()["containers"]
    return only


def secret_variables() -> set[str]:
    """Return the variables that come from the Secret; its keys have the same names."""
    found = {}
    for variable in container()["env"]:
        if "valueFrom" in variable:
            reference = variable["valueFrom"]["secretKeyRef"]
            assert reference["name"] == "meshproxy-secrets"
            found[variable["name"]] = reference["key"]
    assert list(found) == list(found.values())
    return set(found)


def options() -> dict[str, str]:
    """Return the options of `serve` that the container is started with, by name."""
    command, *rest = container()["args"]
    assert (container()["command"], command) == (["meshproxy"], "serve")
    return dict(option.removeprefix("--").split("=", 1) for option in rest)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_each_manifest_fits_the_schema(path: Path, version: str) -> None:
    kubernetes_validate.validate(yaml.safe_load(path.read_text(encoding="utf-8")), version, strict=True)


def test_the_schema_is_strict() -> None:
    wrong = json.loads(json.dumps(manifest("deployment")))
    wrong["spec"]["template"]["spec"]["terminationGracePeriod"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_kustomize_takes_every_manifest() -> None:
    kustomization = manifest("kustomization")
    assert sorted(kustomization["resources"]) == [path.name for path in MANIFESTS]
    assert kustomization["namespace"] == manifest("namespace")["metadata"]["name"]
    [image] = kustomization["images"]
    assert image["name"] == container()["image"]


def selectors() -> Iterator[Any]:
    yield manifest("deployment")["spec"]["selector"]["matchLabels"]
    yield manifest("service")["spec"]["selector"]
    yield manifest("poddisruptionbudget")["spec"]["selector"]["matchLabels"]
    yield manifest("networkpolicy")["spec"]["podSelector"]["matchLabels"]
    for spread in pod()["topologySpreadConstraints"]:
        yield spread["labelSelector"]["matchLabels"]


def test_all_mean_the_same_pods() -> None:
    assert manifest("deployment")["spec"]["template"]["metadata"]["labels"] == NAME
    assert list(selectors()) == [NAME] * 6
    target = manifest("horizontalpodautoscaler")["spec"]["scaleTargetRef"]
    deployment = manifest("deployment")
    assert target == {
        "apiVersion": deployment["apiVersion"],
        "kind": deployment["kind"],
        "name": deployment["metadata"]["name"],
    }
    assert "replicas" not in deployment["spec"], "it would fight with the autoscaler"


def test_ports_are_the_ones_that_it_listens_on() -> None:
    [port] = container()["ports"]
    assert str(port["containerPort"]) == options()["port"]
    assert options()["host"] == "0.0.0.0"
    [outside] = manifest("service")["spec"]["ports"]
    [policy] = [one["port"] for rule in manifest("networkpolicy")["spec"]["ingress"] for one in rule["ports"]]
    probes = [container()[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
    assert {outside["targetPort"], policy, *(probe["port"] for probe in probes)} == {port["name"]}
    assert {probe["path"] for probe in probes} == {route.path for route in ROUTES}


def test_there_is_time_to_end_in_order() -> None:
    pause = container()["lifecycle"]["preStop"]["exec"]["command"]
    assert pause[0] == "sleep"
    needed = float(pause[1]) + float(options()["drain"]) + supervisor._KILL_AFTER_S + supervisor._SHIP_AT_END_S
    assert pod()["terminationGracePeriodSeconds"] >= needed


def test_the_command_line_exists() -> None:
    entry = TREE.commands["serve"]
    assert not isinstance(entry, Group)
    command = load("serve", entry)
    values = command.make_context("serve", container()["args"][1:], resilient_parsing=True).params
    assert (values["port"], values["workers"]) == (8765, 2)
    assert values["public_url"].startswith("https://")
    assert values["workers"] == float(container()["resources"]["requests"]["cpu"]), "a core for each worker"


def test_the_configuration_is_one_and_finds_its_keys() -> None:
    [generator] = manifest("kustomization")["configMapGenerator"]
    volumes = {volume["name"]: volume for volume in pod()["volumes"]}
    mounts = {mount["name"]: mount for mount in container()["volumeMounts"]}
    assert set(volumes) == set(mounts)
    assert volumes["config"]["configMap"]["name"] == generator["name"]
    [name] = generator["files"]
    assert options()["config"] == f"{mounts['config']['mountPath']}/{name}"
    text = (DIRECTORY / name).read_text(encoding="utf-8")
    config = load_config(text, {}, lambda reference: check_reference(reference)[1])
    assert not any(provider.echo for provider in config.providers)
    keys = [key for provider in tomllib.loads(text)["providers"].values() for key in provider["keys"]]
    assert {check_reference(key) for key in keys} <= {("env", variable) for variable in secret_variables()}
    plain = {variable["name"]: variable.get("value") for variable in container()["env"]}
    assert plain["MESHPROXY_HOME"] == mounts["state"]["mountPath"]


def test_the_page_makes_the_secret_that_is_asked_for() -> None:
    page = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")
    [(name, file, namespace)] = re.findall(
        r"^kubectl create secret generic (\S+) --from-env-file=(\S+) --namespace=(\S+)$", page, re.MULTILINE
    )
    assert name == "meshproxy-secrets"
    [text] = re.findall(rf"```ini\n# {file}\n(.*?)```", page, re.DOTALL)
    assert {line.partition("=")[0] for line in text.splitlines()} == secret_variables()
    assert namespace == manifest("kustomization")["namespace"]


def test_pods_are_restricted() -> None:
    """The Pod Security Standard that the namespace enforces, and a root file system that can't be written."""
    labels = manifest("namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod()["automountServiceAccountToken"] is False


def test_the_image_is_made_of_what_is_there() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    sources = [word for line in copied for word in line.split()]
    assert [name for name in sources if not (ROOT / name).exists()] == []
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] == "!"}
    assert kept == set(sources)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert {project["project"]["readme"], *project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]} <= kept
    installs = re.findall(r"pip install .*?(?= \\\\?$|$)", DOCKERFILE, re.MULTILINE)
    page = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")
    missing = [line for line in installs if line.replace("--no-cache-dir ", "") not in page]
    assert (len(installs), missing) == (2, []), "a person installs it in the same way"


def test_the_image_runs_as_the_pod_does() -> None:
    [user] = re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE)
    context = pod()["securityContext"]
    assert user == f"{context['runAsUser']}:{context['runAsGroup']}"
    [entry] = re.findall(r"^ENTRYPOINT (.*)$", DOCKERFILE, re.MULTILINE)
    assert json.loads(entry) == container()["command"]
    [exposed] = re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)
    assert exposed == options()["port"]
    variables = dict(
        pair.split("=", 1) for line in re.findall(r"^ENV (.*)$", DOCKERFILE, re.MULTILINE) for pair in shlex.split(line)
    )
    plain = {variable["name"]: variable["value"] for variable in container()["env"] if "value" in variable}
    assert {name: variables[name] for name in plain} == plain
