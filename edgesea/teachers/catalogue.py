"""The teachers that have a name, as `edgesea teachers` lists them."""

from edgesea import weights
from edgesea.teachers import demo


def catalogue() -> list[dict]:
    """JSON values a teacher: name, dimension, hears, sample_rate (Hz), megabytes, licence, here, where, url.

    here, where : whether its weights are here, and the file that they are or would be
    """
    rows = [
        {
            "name": "demo",
            "dimension": demo.DIMENSION,
            "hears": "yamnet-16k, 0.975 s",
            "sample_rate": 16_000,
            "megabytes": round(demo.FILE.stat().st_size / 1e6, 1),
            "licence": "Apache-2.0",
            "here": True,
            "where": str(demo.FILE),
            "url": None,
        }
    ]
    for name, published in weights.PUBLISHED.items():
        place = weights.place(name)
        rows.append(
            {
                "name": name,
                "dimension": published.dimension,
                "hears": published.hears,
                "sample_rate": published.rate,
                "megabytes": published.megabytes,
                "licence": published.licence,
                "here": place.is_file(),
                "where": str(place),
                "url": published.url,
            }
        )
    return rows
