"""A gRPC server whose answers and counts are known by arithmetic: what the end-to-end tests call.

It knows nothing of loadgrid. The first line of stdout is its port. At SIGTERM it prints what it counted, as JSON, and
ends; after ten minutes it does so by itself.
"""

import argparse
import asyncio
import importlib
import json
import math
import os
import signal
import sys
import tempfile
import time
from collections import Counter

import grpc
import grpc_tools
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import _async, reflection, reflection_pb2
from grpc_tools import protoc

LIFETIME = 600
HERE = os.path.dirname(os.path.abspath(__file__))
PROTOS = ["route_guide.proto", "helloworld.proto"]
# Radius in metres, and what a unit of a Point is in radians.
EARTH, UNIT = 6_371_000, math.radians(1e-7)


def compiled():
    """The modules made from the protos."""
    with tempfile.TemporaryDirectory() as folder:
        included = os.path.join(os.path.dirname(grpc_tools.__file__), "_proto")
        out = [f"--python_out={folder}", f"--grpc_python_out={folder}"]
        if protoc.main(["protoc", f"-I{HERE}", f"-I{included}", *out, *PROTOS]):
            sys.exit("the protos don't compile")
        sys.path.insert(0, folder)
        try:
            names = ["route_guide_pb2", "route_guide_pb2_grpc", "helloworld_pb2", "helloworld_pb2_grpc"]
            return [importlib.import_module(name) for name in names]
        finally:
            sys.path.remove(folder)


guide, guide_grpc, hello, hello_grpc = compiled()


class Counts(grpc.aio.ServerInterceptor):
    """Counts calls, messages and cancellations of every method of ours, whatever the method does."""

    OURS = ("routeguide.", "helloworld.")
    UNCOUNTED = "Counts"

    def __init__(self):
        self.calls, self.received, self.sent, self.cancelled = Counter(), Counter(), Counter(), Counter()

    def as_dict(self):
        return {what: dict(sorted(counter.items())) for what, counter in vars(self).items()}

    async def intercept_service(self, continuation, details):
        handler = await continuation(details)
        service, _, method = details.method.lstrip("/").partition("/")
        if handler is None or not service.startswith(self.OURS) or method == self.UNCOUNTED:
            return handler
        kinds = (handler.request_streaming, handler.response_streaming)
        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[kinds]
        inner = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        counted = (self.many if handler.response_streaming else self.one)(method, inner, handler.request_streaming)
        return make(counted, handler.request_deserializer, handler.response_serializer)

    def requests(self, method, request, streaming):
        self.calls[method] += 1
        if not streaming:
            self.received[method] += 1
            return request

        async def read():
            async for message in request:
                self.received[method] += 1
                yield message

        return read()

    def one(self, method, inner, streaming):
        async def call(request, context):
            try:
                response = await inner(self.requests(method, request, streaming), context)
            except asyncio.CancelledError:
                self.cancelled[method] += 1
                raise
            self.sent[method] += 1
            return response

        return call

    def many(self, method, inner, streaming):
        async def call(request, context):
            try:
                async for response in inner(self.requests(method, request, streaming), context):
                    self.sent[method] += 1
                    yield response
            except asyncio.CancelledError:
                self.cancelled[method] += 1
                raise

        return call


def feature(latitude, longitude):
    """There is a feature at every point whose latitude is even."""
    named = latitude % 2 == 0
    return guide.Feature(
        name=f"feature {latitude},{longitude}" if named else "",
        location=guide.Point(latitude=latitude, longitude=longitude),
        kind=1 + abs(latitude // 2) % 3 if named else 0,
        tags=["even"] if named else [],
    )


def distance(a, b):
    north = (b.latitude - a.latitude) * UNIT
    east = (b.longitude - a.longitude) * UNIT * math.cos((a.latitude + b.latitude) / 2 * UNIT)
    return EARTH * math.hypot(north, east)


class RouteGuide(guide_grpc.RouteGuideServicer):
    def __init__(self, counts):
        self.counts = counts

    async def GetFeature(self, request, context):
        return feature(request.latitude, request.longitude)

    async def ListFeatures(self, request, context):
        if request.WhichOneof("what") == "within":
            low, high = request.within.low, request.within.high
            rows, columns = range(low.latitude, high.latitude + 1), range(low.longitude, high.longitude + 1)
            places = ((row, column) for row in rows if row % 2 == 0 for column in columns)
        else:
            places = ((2 * number, number) for number in range(request.count))
        for place in places:
            yield feature(*place)
            if request.pause_ms:
                await asyncio.sleep(request.pause_ms / 1000)

    async def RecordRoute(self, request_iterator, context):
        summary, last, began = guide.RouteSummary(), None, None
        async for point in request_iterator:
            began = began or time.monotonic()
            summary.points += 1
            summary.features += point.latitude % 2 == 0
            summary.distance += distance(last, point) if last else 0
            last = point
        if began:
            summary.took.FromNanoseconds(int((time.monotonic() - began) * 1e9))
        return summary

    async def RouteChat(self, request_iterator, context):
        notes = {}
        async for note in request_iterator:
            here = notes.setdefault((note.location.latitude, note.location.longitude), [])
            here.append(note)
            for earlier in here:
                yield earlier

    async def Fail(self, request, context):
        code = grpc.StatusCode.__members__.get(request.code)
        if code is None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"there is no code {request.code!r}")
        if code is not grpc.StatusCode.OK:
            await context.abort(code, request.message)
        return guide.Empty()

    async def Slow(self, request, context):
        await asyncio.sleep(request.ms / 1000)
        return guide.Empty()

    async def Echo(self, request, context):
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        return guide.EchoReply(request=request, metadata=metadata)

    async def Counts(self, request, context):
        return guide.CountsReply(**self.counts.as_dict())


class Greeter(hello_grpc.GreeterServicer):
    async def SayHello(self, request, context):
        return hello.HelloReply(message=f"Hello {request.name}")


def reflect(server, services, versions):
    """Adds reflection. The versions differ in the service's name alone, and of v1 there is no descriptor to list."""
    if "v1alpha" in versions:
        services = [*services, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(services, server)
    if "v1" in versions:
        method = grpc.stream_stream_rpc_method_handler(
            _async.ReflectionServicer(services).ServerReflectionInfo,
            reflection_pb2.ServerReflectionRequest.FromString,
            reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        name = "grpc.reflection.v1.ServerReflection"
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method})])


async def serve(arguments):
    counts = Counts()
    # Two servers on one port would share its connections, and each count a part.
    server = grpc.aio.server(interceptors=[counts], options=[("grpc.so_reuseport", 0)])
    guide_grpc.add_RouteGuideServicer_to_server(RouteGuide(counts), server)
    hello_grpc.add_GreeterServicer_to_server(Greeter(), server)
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    ours = ["routeguide.RouteGuide", "helloworld.Greeter"]
    for name in ["", *ours]:
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    reflect(server, [*ours, health.SERVICE_NAME], arguments.reflection)
    address = f"127.0.0.1:{arguments.port}"
    if arguments.tls:
        port = server.add_secure_port(address, credentials(arguments))
    else:
        port = server.add_insecure_port(address)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await server.start()
    print(port, flush=True)
    try:
        await asyncio.wait_for(ended.wait(), LIFETIME)
    except TimeoutError:
        print("ten minutes are over", file=sys.stderr)
    await server.stop(0)
    print(json.dumps(counts.as_dict()), flush=True)


def credentials(arguments):
    def read(path):
        with open(path, "rb") as file:
            return file.read()

    certificate, key = map(read, arguments.tls)
    ca = read(arguments.client_ca) if arguments.client_ca else None
    return grpc.ssl_server_credentials([(key, certificate)], ca, require_client_auth=ca is not None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0: a free one")
    versions = {"both": ("v1", "v1alpha"), "v1": ("v1",), "v1alpha": ("v1alpha",), "none": ()}
    parser.add_argument("--reflection", choices=versions, default="both")
    parser.add_argument("--no-reflection", dest="reflection", action="store_const", const="none")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"), help="PEM files; without it: cleartext")
    parser.add_argument("--client-ca", metavar="CA", help="only clients with a certificate of this CA are served")
    arguments = parser.parse_args()
    if arguments.client_ca and not arguments.tls:
        parser.error("--client-ca wants --tls CERT KEY")
    arguments.reflection = versions[arguments.reflection]
    asyncio.run(serve(arguments))


main()
