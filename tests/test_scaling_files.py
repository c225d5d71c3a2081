"""The Compose file and the Kubernetes sketch: well-formed, of one mind, and true to the settings that there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.config import Settings

FOLDER = Path(__file__).parent.parent / "docs" / "scaling"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text(encoding="utf-8")))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WORKLOADS = [one for one in OBJECTS if one["kind"] in ("Deployment", "StatefulSet")]


def containers() -> Iterator[dict[str, Any]]:
    for workload in WORKLOADS:
        yield from workload["spec"]["template"]["spec"]["containers"]


def variables(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: str(entry.get("value", "a secret of its own")) for entry in container.get("env", ())}


def test_only_the_proxy_listens_and_only_on_this_machine():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(published) == ["proxy"]
    assert all(port.startswith("127.0.0.1:") for port in published["proxy"])
    assert COMPOSE["networks"]["inner"]["internal"] is True
    assert all("outer" not in service["networks"] for name, service in SERVICES.items() if name != "proxy")


def test_what_a_service_leans_on_is_there():
    for service in SERVICES.values():
        assert set(service.get("depends_on", ())) <= SERVICES.keys()
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source.startswith(".") or source in COMPOSE["volumes"]
        for host in re.findall(r"(?:http|postgresql)://(?:[^@/\s]+@)?([a-z-]+):\d", json.dumps(service)):
            assert host in SERVICES


def test_images_have_a_tag():
    images = [service["image"] for service in SERVICES.values()] + [container["image"] for container in containers()]
    assert all(re.search(r":[\w.-]+$", image) and not image.endswith(":latest") for image in images)


def test_both_files_set_the_same_settings_and_these_exist():
    here: dict[str, str] = SERVICES["app-1"]["environment"]
    (app,) = [variables(one) for one in containers() if one["name"] == "app"]
    there = {name: value for name, value in app.items() if name.startswith("FOURFOLD_")}
    assert here.keys() == there.keys()
    for values in (here, there):
        fields = {name.removeprefix("FOURFOLD_").lower(): value for name, value in values.items()}
        assert fields.keys() <= Settings.model_fields.keys()
        fields["login_proxies"] = json.loads(fields["login_proxies"])
        assert Settings.model_validate(fields).login == "proxy"


def test_both_files_run_the_same_database_and_model():
    images = {container["name"]: container["image"] for container in containers()}
    assert images["postgres"] == SERVICES["postgres"]["image"]
    assert images["model"] == SERVICES["model"]["image"]
    (model,) = [one for one in containers() if one["name"] == "model"]
    assert " ".join(model["args"]) == SERVICES["model"]["command"]


def test_objects_of_the_sketch_find_each_other():
    for one in OBJECTS:
        assert one["apiVersion"]
        assert one["metadata"]["name"]
        assert one["metadata"]["namespace"] == "fourfold"
    labels = [workload["spec"]["template"]["metadata"]["labels"] for workload in WORKLOADS]
    for workload, own in zip(WORKLOADS, labels, strict=True):
        assert workload["spec"]["selector"]["matchLabels"] == own
    for service in (one for one in OBJECTS if one["kind"] == "Service"):
        assert service["spec"]["selector"] in labels
    claims = {one["metadata"]["name"] for one in OBJECTS if one["kind"] == "PersistentVolumeClaim"}
    for workload in WORKLOADS:
        for volume in workload["spec"]["template"]["spec"].get("volumes", ()):
            assert "persistentVolumeClaim" not in volume or volume["persistentVolumeClaim"]["claimName"] in claims


def test_the_proxy_knows_the_processes_of_the_application():
    servers = re.findall(r"server (app-\d+):8501", (FOLDER / "nginx.conf").read_text(encoding="utf-8"))
    assert servers == [name for name in SERVICES if name.startswith("app-")]
    assert json.loads(SERVICES["app-1"]["environment"]["FOURFOLD_LOGIN_PROXIES"]) == [
        SERVICES["proxy"]["networks"]["inner"]["ipv4_address"]
    ]


@pytest.mark.parametrize("name", ["scaling.md", "scaling.zh-CN.md"])
def test_the_page_names_the_files(name: str):
    text = (FOLDER.parent / name).read_text(encoding="utf-8")
    assert all(f"scaling/{file}" in text for file in ("compose.yaml", "kubernetes.yaml", "Dockerfile"))
