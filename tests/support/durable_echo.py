"""A plain server that takes each line down durably and sends it back: what any program needs for that here.

Usage: python durable_echo.py socket database
"""

import asyncio
import sqlite3
import sys


async def main(socket: str, database: str) -> None:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE lines (text BLOB)")

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            connection.execute("INSERT INTO lines VALUES (?)", (line,))
            writer.write(line)
        writer.close()

    server = await asyncio.start_unix_server(echo, socket)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
