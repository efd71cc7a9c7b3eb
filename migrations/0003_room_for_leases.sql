-- A flush leases all messages of a page at once, and each lease writes its row anew: unless the page has room for every one
-- of them, some move to another page and enter every index again. At 60 that was one in five.
alter table holdfast.messages set (fillfactor = 45);
