-- Compressing the headers of a message costs more processor time than writing them, like its body.
alter table holdfast.messages alter column headers set storage external;
alter table holdfast.acked alter column headers set storage external;
