-- One row per flight of the schedule, with nothing that was not known two hours before its departure,
-- but for the weather, which stands for the forecast that a caller has.
--
-- History: every flight makes two events, at the moments when its departure and its arrival are known, and one
-- question, at its scheduled departure. Each window below looks from a question (or an event, whose answer is
-- thrown away) at the events that were known 2 hours (7,200 s) before, and no further back than its first bound.
WITH timetable AS (
  SELECT
    f.*,
    UNIX_TIMESTAMP(f.time_hour) + 60 * f.minute AS departs,
    UNIX_TIMESTAMP(f.time_hour) + 60 * (f.minute + f.dep_delay) AS departed,
    UNIX_TIMESTAMP(f.time_hour) + 60 * (f.minute + f.dep_delay + f.air_time) AS flown,
    a.tzone
  FROM flights f
  LEFT JOIN airports a ON a.faa = f.dest
),

-- A flight is over when it stands at the gate. Departure plus air time leaves out all taxiing, so it comes too
-- early; arr_time is the moment itself, but a local time of day. So: the first such time of day at the
-- destination after departure plus air time (should rounding put it just before, a day is added: late, never
-- early). Where the time zone is unknown, 4 hours of taxiing are assumed; the most seen elsewhere is 3 h 55 min.
completed AS (
  SELECT
    *,
    CASE
      WHEN tzone IS NULL THEN flown + 4 * 3600
      ELSE flown + 60 * PMOD(
        60 * (arr_time DIV 100) + arr_time % 100
        - (
          60 * HOUR(FROM_UTC_TIMESTAMP(TIMESTAMP_SECONDS(flown), tzone))
          + MINUTE(FROM_UTC_TIMESTAMP(TIMESTAMP_SECONDS(flown), tzone))
        ),
        1440
      )
    END AS arrived
  FROM timetable
),

moments AS (
  SELECT *, departs AS at, TRUE AS is_question, NULL AS left_late, NULL AS came_late FROM completed
  UNION ALL
  SELECT *, departed AS at, FALSE AS is_question, dep_delay AS left_late, NULL AS came_late FROM completed
  WHERE departed IS NOT NULL
  UNION ALL
  SELECT *, arrived AS at, FALSE AS is_question, NULL AS left_late, arr_delay AS came_late FROM completed
  WHERE arrived IS NOT NULL AND arr_delay IS NOT NULL
),

history AS (
  SELECT
    *,
    AVG(came_late) OVER (
      PARTITION BY origin ORDER BY at RANGE BETWEEN 14400 PRECEDING AND 7200 PRECEDING
    ) AS origin_arrival_delay,
    AVG(left_late) OVER (
      PARTITION BY origin ORDER BY at RANGE BETWEEN 10800 PRECEDING AND 7200 PRECEDING
    ) AS origin_departure_delay,
    AVG(came_late) OVER (
      PARTITION BY dest ORDER BY at RANGE BETWEEN 21600 PRECEDING AND 7200 PRECEDING
    ) AS dest_arrival_delay,
    AVG(came_late) OVER (
      PARTITION BY carrier ORDER BY at RANGE BETWEEN 21600 PRECEDING AND 7200 PRECEDING
    ) AS carrier_arrival_delay,
    AVG(IF(tailnum IS NULL, NULL, came_late)) OVER (
      PARTITION BY tailnum ORDER BY at RANGE BETWEEN 43200 PRECEDING AND 7200 PRECEDING
    ) AS plane_arrival_delay,
    AVG(came_late) OVER (
      PARTITION BY carrier, flight, origin ORDER BY at RANGE BETWEEN 2592000 PRECEDING AND 7200 PRECEDING
    ) AS flight_arrival_delay
  FROM moments
)

SELECT
  h.year,
  h.month,
  h.day,
  h.carrier,
  h.flight,
  h.origin,
  TIMESTAMP_SECONDS(h.departs) AS departs_at,
  h.dest,
  DATE_FORMAT(MAKE_DATE(h.year, h.month, h.day), 'E') AS weekday,
  h.sched_dep_time DIV 100 + (h.sched_dep_time % 100) / 60 AS departure_hour,
  h.sched_arr_time DIV 100 + (h.sched_arr_time % 100) / 60 AS arrival_hour,
  h.distance,
  h.year - p.year AS plane_age,
  p.seats,
  p.manufacturer,
  w.temp,
  w.dewp,
  w.humid,
  w.wind_speed,
  w.precip,
  w.pressure,
  w.visib,
  h.origin_arrival_delay,
  h.origin_departure_delay,
  h.dest_arrival_delay,
  h.carrier_arrival_delay,
  h.plane_arrival_delay,
  h.flight_arrival_delay
FROM history h
LEFT JOIN planes p ON p.tailnum = h.tailnum
LEFT JOIN weather w ON w.origin = h.origin AND w.time_hour = h.time_hour
WHERE h.is_question
