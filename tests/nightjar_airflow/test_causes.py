"""Messages of real clusters, and whether waiting may help."""

from __future__ import annotations

import json

import pytest

from nightjar_airflow.cluster.api_error import ApiError
from nightjar_airflow.cluster.causes import image_is_refused, refusal, start_is_refused

FORBIDDEN = 'pods "job-timeout-unavailable-0-x" is forbidden: '
RBAC = (
    'events is forbidden: User "system:serviceaccount:airflow:t" cannot list resource "events" in API group "" in the'
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (FORBIDDEN + "exceeded quota: gpu-quota, requested: pods=1, used: pods=4, limited: pods=4", "quota"),
        (FORBIDDEN + 'violates PodSecurity "restricted:latest": seccompProfile', "policy"),
        (FORBIDDEN + "maximum memory usage per Container is 1Gi, but limit is 2Gi", "policy"),
        (FORBIDDEN + "failed quota: q: must specify limits.cpu for: rank", "policy"),
        (FORBIDDEN + 'error looking up service account ml/x: serviceaccount "x" not found', "policy"),
        (FORBIDDEN + "no PriorityClass with name batch was found", "policy"),
        (FORBIDDEN + "unable to create new content in namespace ml because it is being terminated", "policy"),
        (FORBIDDEN + "unable to validate against any security context constraint: [...]", "policy"),
        ('admission webhook "validation.gatekeeper.sh" denied the request: [limits] no cpu limit', "policy"),
        ("ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", "policy"),
        ('Pod "x-0" is invalid: spec.containers[0].image: Required value', "policy"),
        (
            'Internal error occurred: failed calling webhook "v": dial tcp 10.0.0.1:443: connect: connection refused',
            None,
        ),
        ('Internal error occurred: failed calling webhook "v": Post "https://v": context deadline exceeded', None),
        ('Internal error occurred: failed calling webhook "v": no endpoints available for service "v"', None),
        ('Internal error occurred: failed calling webhook "v": x509: certificate signed by unknown authority', None),
        ('admission webhook "k" denied the request: Get "https://registry": dial tcp: connection refused', None),
        ('Operation cannot be fulfilled on resourcequotas "q": the object has been modified; please apply', None),
        (FORBIDDEN + "status unknown for quota: q, resources: pods", None),
        (FORBIDDEN + "not yet ready to handle request", None),
        ("Timeout: request did not complete within requested timeout", None),
        ("etcdserver: leader changed", None),
        (RBAC, None),
        ("Unauthorized", None),
    ],
)
def test_a_refusal_is_final_for_a_quota_or_a_policy_alone(message: str, expected: str | None) -> None:
    assert refusal(message) == expected


@pytest.mark.parametrize(
    ("message", "final"),
    [
        ('failed to resolve reference "r/unauthorized:1": dial tcp 10.0.0.9:5000: connect: connection refused', False),
        ("failed to do request: Head: dial tcp: lookup registry on 10.0.0.10:53: no such host", False),
        ("unexpected status from HEAD request: 503 Service Unavailable", False),
        ("unexpected status from HEAD request: 500 Internal Server Error", False),
        ("toomanyrequests: You have reached your unauthenticated pull rate limit", False),
        ("failed to authorize: failed to fetch anonymous token: dial tcp: i/o timeout", False),
        ("net/http: TLS handshake timeout", False),
        ("unexpected EOF", False),
        ("no space left on device", False),
        ("Back-off pulling image", False),
        ("rpc error: code = NotFound desc = failed to pull and unpack image: : not found", True),
        ("manifest unknown: manifest unknown", True),
        ("pull access denied, repository does not exist or may require authorization", True),
        ("unexpected status from HEAD request: 401 Unauthorized", True),
        ("failed to fetch oauth token: unexpected status: 403 Forbidden", True),
        ("no match for platform in manifest", True),
    ],
)
def test_an_image_is_refused_where_the_registry_has_answered_so(message: str, final: bool) -> None:
    assert image_is_refused(message) is final


@pytest.mark.parametrize(
    ("message", "final"),
    [
        ('secret "nowhere" not found', True),
        ("couldn't find key token in Secret ml/keys", True),
        ("container has runAsNonRoot and image will run as root", True),
        ("exec: python: executable file not found in $PATH", True),
        ("failed to sync secret cache: timed out waiting for the condition", False),
        ("context deadline exceeded", False),
        ("failed to reserve container name: name is reserved for 1a2b", False),
    ],
)
def test_a_container_cannot_start_for_what_its_pod_asks_for(message: str, final: bool) -> None:
    assert start_is_refused(message) is final


def _status(message: str, reason: str = "") -> bytes:
    return json.dumps({"kind": "Status", "message": message, "reason": reason}).encode()


@pytest.mark.parametrize(
    ("status", "body", "passing"),
    [
        (0, b"", True),
        (401, _status("Unauthorized"), True),
        (403, _status(RBAC), True),
        (403, _status(FORBIDDEN + "exceeded quota: q"), False),
        (403, _status('admission webhook "v" denied the request: no'), False),
        (404, _status('jobs.batch "x" not found'), False),
        (404, b"<html>default backend - 404</html>", True),
        (409, _status('jobs.batch "x" already exists', "AlreadyExists"), False),
        (409, _status('Operation cannot be fulfilled on resourcequotas "q"', "Conflict"), True),
        (410, _status("too old resource version"), False),
        (422, _status("Job is invalid"), False),
        (429, b"Too many requests", True),
        (500, _status('Internal error occurred: failed calling webhook "v"'), True),
        (503, b"", True),
        (504, _status("Timeout"), True),
        (520, b"a proxy's own", True),
    ],
)
def test_what_may_pass_is_asked_again(status: int, body: bytes, passing: bool) -> None:
    assert ApiError.of_body(status, body, None).passing is passing
