-- The messages in S3 as a table; what every message has as columns, the rest as text for json_extract.
CREATE EXTERNAL TABLE twinkeeper (
  schema string, gateway string, stream string, epoch bigint, seq bigint, id string, `time` string, time_ms bigint,
  clock_synced boolean, boot_id string, replay boolean, twin string, device string, step bigint, mode string,
  states map<string, struct<value: double, std: double, unit: string>>,
  v map<string, double>, tags map<string, string>, anomaly string, event string, severity int)
PARTITIONED BY (day string)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' WITH SERDEPROPERTIES ('ignore.malformed.json' = 'true')
LOCATION 's3://BUCKET/twinkeeper/'
TBLPROPERTIES ('projection.enabled' = 'true', 'projection.day.type' = 'date', 'projection.day.format' = 'yyyy-MM-dd',
               'projection.day.range' = '2026-01-01,NOW', 'storage.location.template' = 's3://BUCKET/twinkeeper/day=${day}/');

-- Each message once, whatever was delivered twice. `day` is that of arrival: a backlog comes days late.
CREATE VIEW twinkeeper_once AS
SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY id ORDER BY replay) AS copy FROM twinkeeper) WHERE copy = 1;

-- Sequence numbers that are missing within an epoch. Those that a gap tells were discarded and will never come.
SELECT gateway, stream, epoch, before + 1 AS first_missing, seq - 1 AS last_missing
FROM (SELECT gateway, stream, epoch, seq, lag(seq, 1, BIGINT '0') OVER (PARTITION BY gateway, stream, epoch ORDER BY seq) AS before
      FROM twinkeeper_once WHERE schema <> 'twinkeeper.gap/1' AND stream <> 'status')
WHERE seq > before + 1;
