"""HTTP server of bundles, and its page: `server.run` starts it, `app.create_app` makes the ASGI app.

A request passes `headers` and `middleware`, then a route in `routes`. `service` turns uploaded files into a
prediction: files are decoded in processes (`decoding`, `worker`), slices of all requests are predicted in
batches (`batching`).
"""
