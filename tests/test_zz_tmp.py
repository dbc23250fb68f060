def test_x(finished_run, small_bundle):
    import json
    h=json.loads((finished_run/"metrics.json").read_text()); print([round(e["r2"],3) for e in h["course"]], h["fidelity"], h["seconds"], [round(e["seconds"],2) for e in h["course"]])
    m=json.loads((small_bundle/"manifest.json").read_text())["comparison"]; print({k:m[k] for k in ("r2","cosine")})
