"""In the place of kr8s's own conftest.py, which makes a cluster with kind: gives its tests the cluster of KUBECONFIG."""

import gc
import os
import subprocess
from pathlib import Path

import pytest


class Cluster:
    """What kr8s's tests use of pytest-kind's cluster."""

    def __init__(self, kubeconfig):
        self.name = "steersman"
        self.kubeconfig_path = Path(kubeconfig)
        self.kubectl_path = Path(os.environ["KUBECTL"])

    def kubectl(self, *args, **kwargs):
        """Runs kubectl; gives what it printed."""
        command = [self.kubectl_path, f"--kubeconfig={self.kubeconfig_path}", *args]
        return subprocess.check_output(command, encoding="utf-8", **kwargs)


@pytest.fixture(scope="session", autouse=True)
def k8s_cluster():
    yield Cluster(os.environ["KUBECONFIG"])


@pytest.fixture
def ensure_gc():
    gc.collect()
    yield
    gc.collect()
