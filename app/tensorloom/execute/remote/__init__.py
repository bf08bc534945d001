"""A heavy worker from Python: what does not fit this machine is computed by a service elsewhere.

    document, arrays --request--> JobRequest, files --client--> job --follow--> Result

The service is ``workers/tensorloom_worker``; its addresses are listed in ``docs/worker.md``. Only
the standard library is used, and nothing of the service is imported.
"""
