"""An S3 that keeps everything in memory, for the end-to-end tests of the result store.

It knows nothing of loadgrid, and takes any credentials. The first line of stdout is its port. It ends with its stdin,
and after ten minutes by itself.
"""

import sys
import threading

from moto.server import ThreadedMotoServer

LIFETIME = 600

server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
ended = threading.Thread(target=sys.stdin.read, daemon=True)
ended.start()
ended.join(LIFETIME)
server.stop()
