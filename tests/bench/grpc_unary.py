"""Unary gRPC calls beside ghz, and beside h2load that sends the same frames and looks at no message or status."""

import json
import os

from measure import SECONDS, load_test, loadgrid_cpu, pairs, ratio_row
from peers import GRPC_METHOD, GRPC_NAME, TARGETS, ghz_cpu, grpc_server, h2load_grpc, has

CONNECTIONS, STREAMS = 10, 20


def unary(folder):
    if not has("grpc_server"):
        return
    with grpc_server() as (_, port):
        proto = os.path.abspath(os.path.join(TARGETS, "helloworld.proto"))
        call = f"target: '127.0.0.1:{port}', call: {GRPC_METHOD}, proto: '{proto}'"
        request = f"grpc: {{{call}, data: {json.dumps({'name': GRPC_NAME})}}}"
        load = f"closedLoop: true, connections: {CONNECTIONS}, streams: {STREAMS}, duration: {SECONDS}s"
        test = load_test(folder, request, load)
        ours = lambda: loadgrid_cpu(test)
        what = f"gRPC unary, {CONNECTIONS} connections of {STREAMS} calls"
        if has("h2load"):
            peer = lambda: h2load_grpc(port, CONNECTIONS, STREAMS)[0]
            found = pairs("gRPC, loadgrid / h2load", ours, peer)
            ratio_row(f"{what}: CPU per call by h2load's, which reads no answer", found, 1.1)
        if has("ghz"):
            found = pairs("gRPC, loadgrid / ghz", ours, lambda: ghz_cpu(port, CONNECTIONS, STREAMS))
            ratio_row("the same by ghz's", found, 0.2)
