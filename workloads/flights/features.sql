-- One row per flight of the schedule, with nothing that was not known two hours before its departure,
-- but for the weather, which stands for the forecast that a caller has.
--
-- Recent history is kept in bins of time: what has ended belongs to the bin in which it ended, and a departure
-- may look at bins that closed 2 hours (7,200 s) before it or earlier, so at bins below (departs - 7200) / width.
-- "ahead" deals a bin out to the later ones that may look at it; the joins at the end are then equal ones.
WITH timetable AS (
  SELECT
    f.*,
    MAKE_DATE(f.year, f.month, f.day) AS local_date,
    UNIX_TIMESTAMP(f.time_hour) + 60 * f.minute AS departs,
    60 * f.dep_delay AS waiting,
    60 * f.air_time AS flying,
    -- The destination's clock, in minutes from UTC; summer time where New York has it too.
    CAST(60 * (a.tz + IF(a.dst = 'A' AND PMOD(f.hour - HOUR(f.time_hour), 24) = 20, 1, 0)) AS BIGINT) AS clock
  FROM flights f
  LEFT JOIN airports a ON a.faa = f.dest
),

-- A flight is over when it stands at the gate. Departure plus air time leaves out all taxiing, so it comes too
-- early; arr_time is the moment itself, but a local time of day. So: the first such time of day at the
-- destination after departure plus air time. Should rounding put it just before, a day is added: late, never
-- early. Where the clock is unknown, 4 hours of taxiing are assumed; the most seen elsewhere is 3 h 55 min.
movements AS (
  SELECT
    *,
    departs + waiting AS departed,
    departs + waiting + flying + COALESCE(
      60 * PMOD(
        60 * (arr_time DIV 100) + arr_time % 100 - (departs + waiting + flying) DIV 60 - clock,
        1440
      ),
      4 * 3600
    ) AS arrived
  FROM timetable
),

-- Quarters of an hour, 2 to 4 hours back.
origin_arrivals AS (
  SELECT origin, bin + ahead AS bin, SUM(delays) / SUM(flights) AS delay
  FROM (
    SELECT origin, arrived DIV 900 AS bin, SUM(arr_delay) AS delays, COUNT(arr_delay) AS flights
    FROM movements WHERE arr_delay IS NOT NULL GROUP BY 1, 2
  ) LATERAL VIEW EXPLODE(SEQUENCE(1, 8)) AS ahead
  GROUP BY 1, 2
),

-- Quarters of an hour, 2 to 3 hours back.
origin_departures AS (
  SELECT origin, bin + ahead AS bin, SUM(delays) / SUM(flights) AS delay
  FROM (
    SELECT origin, departed DIV 900 AS bin, SUM(dep_delay) AS delays, COUNT(dep_delay) AS flights
    FROM movements WHERE dep_delay IS NOT NULL GROUP BY 1, 2
  ) LATERAL VIEW EXPLODE(SEQUENCE(1, 4)) AS ahead
  GROUP BY 1, 2
),

-- Half hours, 2 to 6 hours back.
carrier_arrivals AS (
  SELECT carrier, bin + ahead AS bin, SUM(delays) / SUM(flights) AS delay
  FROM (
    SELECT carrier, arrived DIV 1800 AS bin, SUM(arr_delay) AS delays, COUNT(arr_delay) AS flights
    FROM movements WHERE arr_delay IS NOT NULL GROUP BY 1, 2
  ) LATERAL VIEW EXPLODE(SEQUENCE(1, 8)) AS ahead
  GROUP BY 1, 2
),

-- Hours, 2 to 6 hours back.
dest_arrivals AS (
  SELECT dest, bin + ahead AS bin, SUM(delays) / SUM(flights) AS delay
  FROM (
    SELECT dest, arrived DIV 3600 AS bin, SUM(arr_delay) AS delays, COUNT(arr_delay) AS flights
    FROM movements WHERE arr_delay IS NOT NULL GROUP BY 1, 2
  ) LATERAL VIEW EXPLODE(SEQUENCE(1, 4)) AS ahead
  GROUP BY 1, 2
),

-- A plane makes few flights a day: they are listed, and those picked that ended in time.
-- By the contract's bounds a flight is over within 2 days of delay and 1 of flying and taxiing, so that what was
-- scheduled 4 days before has ended.
histories AS (
  SELECT
    *,
    FILTER(
      COLLECT_LIST(IF(arr_delay IS NULL OR tailnum IS NULL, NULL, STRUCT(arrived, arr_delay))) OVER (
        PARTITION BY tailnum ORDER BY departs RANGE BETWEEN 64800 PRECEDING AND 7200 PRECEDING
      ),
      flight -> flight.arrived <= departs - 7200
    ) AS plane_flights,
    AVG(arr_delay) OVER (
      PARTITION BY carrier, flight, origin ORDER BY UNIX_DATE(local_date)
      RANGE BETWEEN 33 PRECEDING AND 4 PRECEDING
    ) AS flight_arrival_delay
  FROM movements
)

SELECT
  f.year,
  f.month,
  f.day,
  f.carrier,
  f.flight,
  f.origin,
  TIMESTAMP_SECONDS(f.departs) AS departs_at,
  f.dest,
  DATE_FORMAT(f.local_date, 'E') AS weekday,
  f.sched_dep_time DIV 100 + (f.sched_dep_time % 100) / 60 AS departure_hour,
  f.sched_arr_time DIV 100 + (f.sched_arr_time % 100) / 60 AS arrival_hour,
  f.distance,
  f.year - p.year AS plane_age,
  p.seats,
  p.manufacturer,
  w.temp,
  w.dewp,
  w.humid,
  w.wind_speed,
  w.precip,
  w.pressure,
  w.visib,
  oa.delay AS origin_arrival_delay,
  od.delay AS origin_departure_delay,
  da.delay AS dest_arrival_delay,
  ca.delay AS carrier_arrival_delay,
  IF(
    SIZE(f.plane_flights) > 0,
    AGGREGATE(f.plane_flights, CAST(0 AS BIGINT), (sum, flight) -> sum + flight.arr_delay) / SIZE(f.plane_flights),
    NULL
  ) AS plane_arrival_delay,
  f.flight_arrival_delay
FROM histories f
LEFT JOIN planes p ON p.tailnum = f.tailnum
LEFT JOIN weather w ON w.origin = f.origin AND w.time_hour = f.time_hour
LEFT JOIN origin_arrivals oa ON oa.origin = f.origin AND oa.bin = (f.departs - 7200) DIV 900
LEFT JOIN origin_departures od ON od.origin = f.origin AND od.bin = (f.departs - 7200) DIV 900
LEFT JOIN carrier_arrivals ca ON ca.carrier = f.carrier AND ca.bin = (f.departs - 7200) DIV 1800
LEFT JOIN dest_arrivals da ON da.dest = f.dest AND da.bin = (f.departs - 7200) DIV 3600
