# mypy: disable-error-code="import-not-found,import-untyped,misc,untyped-decorator,attr-defined"
"""Ray Serve with batching on and its switches for throughput.

https://docs.ray.io/en/latest/serve/advanced-guides/performance.html: RAY_SERVE_THROUGHPUT_OPTIMIZED
and HAProxy before the replicas (`catalogue.py` sets both), `async` methods, more requests at once
than the careful default; https://docs.ray.io/en/latest/serve/advanced-guides/dyn-req-batch.html for
batches. A replica for each worker. Ray's own processes need a core for some seconds: on a machine
that is busy they give up.
"""

import signal

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from loadtests.peers.programs.model import MAX_BATCH, NAME, PORT, WORKERS, Arrays, Model
from loadtests.peers.programs.v2 import LENGTH_HEADER, read_body, write_body


@serve.deployment(
    num_replicas=WORKERS, max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0}
)
class Onnx:
    """One model by onnxruntime."""

    def __init__(self) -> None:
        self._model = Model()

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=0.001)
    async def _infer(self, requests: list[Arrays]) -> list[Arrays]:
        return self._model.run_together(requests)

    async def __call__(self, request: Request) -> Response:
        """Answer one request, whatever its path."""
        feeds, is_binary = read_body(await request.body(), request.headers.get(LENGTH_HEADER))
        body, headers = write_body(NAME, await self._infer(feeds), is_binary)
        return Response(body, headers=headers)


if __name__ == "__main__":
    ray.init(include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    serve.run(Onnx.bind())
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
