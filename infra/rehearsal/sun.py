# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where the sun stands, by date, hour and place."""

from __future__ import annotations

import math
from datetime import UTC, datetime


def sun_position(at: datetime, latitude_deg: float, longitude_deg: float) -> tuple[float, float]:
    """Azimuth (clockwise from north) and elevation of the sun in degrees at an aware UTC time.

    The low-precision formulas of the Astronomical Almanac, good to about 0.01° between 1950 and 2050;
    refraction is left out.
    """
    days = (at.astimezone(UTC) - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 86400.0
    mean_longitude = math.radians((280.460 + 0.9856474 * days) % 360.0)
    anomaly = math.radians((357.528 + 0.9856003 * days) % 360.0)
    ecliptic = mean_longitude + math.radians(1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly))
    tilt = math.radians(23.439 - 0.0000004 * days)
    ascension = math.atan2(math.cos(tilt) * math.sin(ecliptic), math.cos(ecliptic))
    declination = math.asin(math.sin(tilt) * math.sin(ecliptic))
    sidereal_deg = (280.46062 + 360.98564737 * days + longitude_deg) % 360.0
    hour_angle = math.radians(sidereal_deg) - ascension
    latitude = math.radians(latitude_deg)
    elevation = math.asin(
        math.sin(latitude) * math.sin(declination) + math.cos(latitude) * math.cos(declination) * math.cos(hour_angle)
    )
    azimuth = math.atan2(
        -math.cos(declination) * math.sin(hour_angle),
        math.sin(declination) * math.cos(latitude) - math.cos(declination) * math.sin(latitude) * math.cos(hour_angle),
    )
    return math.degrees(azimuth) % 360.0, math.degrees(elevation)
