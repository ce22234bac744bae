#!/usr/bin/env python3
"""Writes ../src/country/table.rs: one point per ISO 3166-1 country, from Natural Earth outlines.

Usage: make_country_points.py <world-atlas>/countries-10m.json > ../src/country/table.rs
Needs: pip install shapely pycountry   (shapely 2.2, pycountry 24 or newer were used)

The point is the pole of inaccessibility (the visual centre) of the LARGEST polygon of the country, so that overseas
territory does not drag France into the Atlantic. Where most addresses are far from the visual centre, POPULATION holds
a hand-made point near the people instead, with the reason. PARTS names territories that Natural Earth draws as a part
of another country: they take the polygon of that country nearest to the given point.
"""
import json
import math
import sys

import pycountry
from shapely.geometry import Point, Polygon
from shapely.ops import polylabel

# Natural Earth gives these no ISO number.
BY_NAME = {"Kosovo": "XK"}

# code: (latitude, longitude, reason)
POPULATION = {
    "AE": (25.0, 55.2, "Dubai and Abu Dhabi; the centre is desert"),
    "AR": (-34.0, -60.5, "between Buenos Aires, Rosario and Cordoba; the south is nearly empty"),
    "AU": (-34.5, 148.0, "between Sydney, Melbourne and Canberra; the centre is desert"),
    "BR": (-21.5, -46.0, "between Sao Paulo, Rio and Belo Horizonte; the centre is forest"),
    "CA": (44.5, -78.0, "between Toronto, Ottawa and Montreal; the centre is tundra"),
    "CD": (-4.4, 15.4, "Kinshasa; the centre is forest"),
    "CL": (-33.5, -70.7, "Santiago; the country is 4,300 km long"),
    "CN": (32.5, 116.5, "between Beijing, Shanghai and Guangzhou; the west is nearly empty"),
    "CO": (4.7, -74.5, "Bogota and the Andean cities; the south-east is forest"),
    "DZ": (36.3, 3.5, "the coast; the centre is Sahara"),
    "EG": (30.2, 31.2, "the Nile delta; the west is Sahara"),
    "FI": (60.9, 24.8, "Helsinki and Tampere; the north is nearly empty"),
    "FJ": (-17.8, 178.0, "Viti Levu; an island across the 180th meridian confuses the outlines"),
    "GB": (52.4, -1.3, "the English Midlands, between London, Manchester and Birmingham"),
    "GL": (64.2, -51.7, "Nuuk; the centre is an ice sheet"),
    "ID": (-6.6, 107.6, "western Java; the largest polygon is Borneo"),
    "IL": (32.0, 34.9, "Tel Aviv and Jerusalem; the south is desert"),
    "IN": (21.5, 78.5, "between Mumbai, Delhi, Bengaluru and Kolkata"),
    "IQ": (33.3, 44.4, "Baghdad; the west is desert"),
    "JP": (35.4, 138.2, "between Tokyo, Nagoya and Osaka"),
    "KE": (-1.2, 36.9, "Nairobi; the north is nearly empty"),
    "KI": (1.4, 173.0, "Tarawa: half of the people; the largest atoll is 3,000 km away"),
    "KR": (37.2, 127.1, "Seoul and its surroundings: half of the people"),
    "KZ": (43.8, 76.0, "Almaty and the south-east; the centre is steppe"),
    "LY": (32.4, 15.1, "the coast; the centre is Sahara"),
    "ML": (12.7, -7.9, "Bamako; the north is Sahara"),
    "MN": (47.9, 106.9, "Ulaanbaatar: half of the people"),
    "MR": (18.1, -15.9, "Nouakchott; the east is Sahara"),
    "MX": (20.3, -100.0, "between Mexico City, Guadalajara and Monterrey"),
    "MY": (3.2, 101.7, "Kuala Lumpur; the largest polygon is Borneo"),
    "NE": (13.5, 4.0, "Niamey and the south; the north is Sahara"),
    "NO": (59.9, 9.8, "Oslo and the south; the country is 1,700 km long"),
    "NZ": (-38.0, 175.5, "between Auckland, Hamilton and Wellington; more land but fewer people in the South"),
    "PE": (-12.0, -76.8, "Lima; the east is forest"),
    "PG": (-9.4, 147.2, "Port Moresby"),
    "PH": (14.6, 121.0, "Manila; 1,800 km of islands"),
    "PK": (30.5, 72.0, "Punjab; the south-west is desert"),
    "PY": (-25.3, -57.4, "Asuncion; the west is nearly empty"),
    "RU": (55.6, 41.5, "between Moscow, Saint Petersburg and the Volga; not Siberia"),
    "SA": (24.5, 45.0, "Riyadh; the south is desert"),
    "SD": (15.5, 32.5, "Khartoum; the north-west is Sahara"),
    "SE": (58.8, 16.0, "between Stockholm, Gothenburg and Linkoping; the north is nearly empty"),
    "TD": (12.1, 15.3, "N'Djamena; the north is Sahara"),
    "US": (37.4, -92.4, "the mean centre of population (Missouri); Alaska pulls the visual centre north-west"),
    "UY": (-34.7, -56.0, "Montevideo: half of the people"),
    "VE": (10.1, -67.5, "Caracas and the northern coast; the south is forest"),
    "VN": (16.0, 107.5, "midway between Hanoi and Ho Chi Minh City"),
    "ZA": (-27.5, 28.0, "Johannesburg and Pretoria, towards Durban; the visual centre is the Karoo"),
}

# code: (numeric id of the country whose polygons hold it, latitude, longitude)
PARTS = {
    "BQ": ("528", 12.18, -68.26),  # Bonaire
    "BV": ("578", -54.42, 3.36),  # Bouvet Island
    "GF": ("250", 3.9, -53.1),  # French Guiana
    "GP": ("250", 16.2, -61.5),  # Guadeloupe
    "MQ": ("250", 14.65, -61.0),  # Martinique
    "RE": ("250", -21.1, 55.5),  # Reunion
    "SJ": ("578", 78.6, 16.0),  # Svalbard
    "TK": ("554", -9.2, -171.8),  # Tokelau
    "YT": ("250", -12.8, 45.15),  # Mayotte
}
# The two Australian territories that Natural Earth draws as one "Indian Ocean Ter.".
INDIAN_OCEAN = {"CC": (-12.17, 96.83), "CX": (-10.45, 105.69)}
# Smaller than the quantisation of the outlines: the town itself.
TINY = {"VA": (41.90, 12.45)}


def arcs_to_points(world):
    sx, sy = world["transform"]["scale"]
    tx, ty = world["transform"]["translate"]
    out = []
    for arc in world["arcs"]:
        x = y = 0
        points = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            points.append((x * sx + tx, y * sy + ty))
        out.append(points)
    return out


def ring(indices, arcs):
    points = []
    for i in indices:
        part = arcs[i] if i >= 0 else arcs[~i][::-1]
        points.extend(part[1:] if points else part)
    return points


def polygons(geometry, arcs):
    parts = {"Polygon": [geometry.get("arcs")], "MultiPolygon": geometry.get("arcs")}.get(geometry["type"], [])
    rings = [[ring(r, arcs) for r in part] for part in parts]
    # Islets smaller than the quantisation collapse to fewer than four points: not polygons any more.
    made = [Polygon(r[0], [h for h in r[1:] if len(h) >= 4]) for r in rings if len(r[0]) >= 4]
    repaired = [p if p.is_valid else p.buffer(0) for p in made]
    return [p for p in repaired if not p.is_empty]


def spherical_size(polygon):
    # Degrees of longitude shrink towards the poles; good enough to find the largest part.
    return polygon.area * math.cos(math.radians(polygon.centroid.y))


def visual_centre(polygon):
    if polygon.geom_type == "MultiPolygon":
        polygon = max(polygon.geoms, key=lambda p: p.area)
    extent = max(polygon.bounds[2] - polygon.bounds[0], polygon.bounds[3] - polygon.bounds[1])
    return polylabel(polygon, tolerance=max(extent / 200, 1e-4))


def main():
    world = json.load(open(sys.argv[1], encoding="utf-8"))
    arcs = arcs_to_points(world)
    outlines, names = {}, {}
    for geometry in world["objects"]["countries"]["geometries"]:
        name = geometry["properties"]["name"]
        found = pycountry.countries.get(numeric=geometry["id"]) if "id" in geometry else None
        code = found.alpha_2 if found else BY_NAME.get(name)
        if code:
            outlines.setdefault(code, []).extend(polygons(geometry, arcs))
            names.setdefault(code, name)
        if name == "Indian Ocean Ter.":
            for part in INDIAN_OCEAN:
                outlines[part] = polygons(geometry, arcs)
    rows = {}
    for code, parts in outlines.items():
        if not parts:
            rows[code] = (*TINY[code], names.get(code))
            continue
        if code in INDIAN_OCEAN:
            lat, lon = INDIAN_OCEAN[code]
            chosen = min(parts, key=lambda p: p.distance(Point(lon, lat)))
        else:
            chosen = max(parts, key=spherical_size)
        centre = visual_centre(chosen)
        rows[code] = (centre.y, centre.x, names.get(code))
    for code, (numeric, lat, lon) in PARTS.items():
        owner = pycountry.countries.get(numeric=numeric).alpha_2
        near = min(outlines[owner], key=lambda p: p.distance(Point(lon, lat)))
        if near.distance(Point(lon, lat)) > 2:
            print(f"{code}: not drawn, hand-made point kept", file=sys.stderr)
            rows[code] = (lat, lon, None)
        else:
            centre = visual_centre(near)
            rows[code] = (centre.y, centre.x, None)
    print("//! One point per ISO 3166-1 country, sorted by code. Written by `data/make_country_points.py` from Natural Earth")
    print("//! outlines (public domain): the visual centre of the largest polygon, or a hand-made point near the people where")
    print("//! the row says why. Do not edit by hand: change the script and run it again.")
    print()
    print("/// `(code, latitude, longitude)` in degrees, sorted by code.")
    print("#[rustfmt::skip]")
    print(f"pub(super) const POINTS: [(&str, f64, f64); {len(rows)}] = [")
    for code in sorted(rows):
        lat, lon, _ = rows[code]
        entry = pycountry.countries.get(alpha_2=code)
        name = getattr(entry, "common_name", None) or getattr(entry, "name", "Kosovo")
        note = ""
        if code in POPULATION:
            lat, lon, why = POPULATION[code]
            note = f": {why}"
        print(f'    ("{code}", {lat:.2f}, {lon:.2f}), // {name}{note}')
    print("];")


main()
