"""HTTP/1.1 as both ports speak it: bytes to requests, limits, time-outs, answers in order."""
