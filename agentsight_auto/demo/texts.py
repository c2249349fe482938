"""What customers write and the agent answers, in four languages; ``{...}`` stands for what the shop knows."""

from __future__ import annotations

LANGUAGES = ("en", "de", "es", "fr")

PHRASES: dict[str, dict[str, tuple[str, ...]]] = {
    "where": {
        "en": ("Hi, where is my order {order}? It should have been here by now.", "can you track {order} pls"),
        "de": ("Guten Tag, wo ist meine Bestellung {order}?", "Mein Paket {order} ist immer noch nicht da 😕"),
        "es": ("Hola, ¿dónde está mi pedido {order}?", "Mi paquete {order} no llega, ¿qué ha pasado?"),
        "fr": ("Bonjour, où est ma commande {order} ?", "Mon colis {order} n'est toujours pas là."),
    },
    "correct": {
        "en": ("Oh sorry, a typo. It's {order}.", "my bad, {order}"),
        "de": ("Ups, vertippt: {order}", "Entschuldigung, gemeint war {order}."),
        "es": ("Perdón, es el {order}.", "ay, me equivoqué: {order}"),
        "fr": ("Pardon, c'est le {order}.", "Désolé, faute de frappe : {order}"),
    },
    "refund": {
        "en": ("I'd like a refund for {order}, the size doesn't fit.", "Can I get my money back for {order}?"),
        "de": ("Ich möchte mein Geld zurück für {order}, die Größe passt nicht.", "Bitte {order} erstatten."),
        "es": ("Quiero un reembolso del pedido {order}, no me queda bien.", "¿Me hacéis la devolución de {order}?"),
        "fr": ("Je voudrais être remboursé pour {order}.", "Un remboursement pour {order}, c'est possible ?"),
    },
    "insist": {
        "en": ("That's not good enough. Let me talk to a human.", "I want to speak to a real person please"),
        "de": ("Das reicht mir nicht. Ich will mit einem Menschen sprechen.", "Kann ich einen Mitarbeiter haben?"),
        "es": ("No me sirve. Quiero hablar con una persona.", "Páseme con un agente, por favor."),
        "fr": ("Ça ne me va pas. Je veux parler à un humain.", "Passez-moi un conseiller, s'il vous plaît."),
    },
    "search": {
        "en": ("Do you have a {product}?", "hey, I'm looking for a {product} for next weekend"),
        "de": ("Habt ihr eine {product}?", "Hallo, ich suche was für die Berge: {product}"),
        "es": ("¿Tenéis {product}?", "Busco {product} para el fin de semana"),
        "fr": ("Avez-vous un article de ce genre : {product} ?", "Je cherche {product} pour ce week-end"),
    },
    "address": {
        "en": ("Please change the address of {order} to {street}. My code is {passcode}.",),
        "de": ("Bitte die Adresse von {order} ändern: {street}. Mein Code ist {passcode}.",),
        "es": ("Cambiad la dirección de {order} a {street}, por favor. Mi código es {passcode}.",),
        "fr": ("Merci de changer l'adresse de {order} : {street}. Mon code est {passcode}.",),
    },
    "invoice": {
        "en": ("I need the invoice for {order} for my employer.", "receipt for {order}?"),
        "de": ("Ich brauche die Rechnung zu {order}.", "Könnt ihr mir die Rechnung {order} schicken?"),
        "es": ("Necesito la factura de {order}.", "¿Me mandáis la factura de {order}?"),
        "fr": ("J'ai besoin de la facture de {order}.", "La facture de {order}, s'il vous plaît."),
    },
    "damage": {
        "en": ("{order} arrived damaged, see the photo.", "The buckle is broken :( order {order}, photo attached"),
        "de": ("{order} kam beschädigt an, siehe Foto.", "Die Schnalle ist kaputt, Bestellung {order}"),
        "es": ("{order} ha llegado dañado, mirad la foto.", "La hebilla está rota, pedido {order}"),
        "fr": ("{order} est arrivé abîmé, voir photo.", "La boucle est cassée, commande {order}"),
    },
    "thanks": {
        "en": ("Thank you, that's all.", "great, thanks!"),
        "de": ("Danke, das war's.", "Super, danke! 👍"),
        "es": ("Gracias, eso es todo.", "¡Genial, gracias!"),
        "fr": ("Merci, c'est tout.", "Parfait, merci !"),
    },
    "mumble": {
        "en": ("hmm ok and now?", "?"),
        "de": ("hm, und jetzt?", "??"),
        "es": ("mmm, ¿y ahora?", "¿?"),
        "fr": ("euh, et maintenant ?", "??"),
    },
}

ANSWERS: dict[str, dict[str, str]] = {
    "on_its_way": {
        "en": "Order {order} is in {place} and should reach you in {days} days.",
        "de": "Bestellung {order} ist in {place} und sollte in {days} Tagen bei Ihnen sein.",
        "es": "El pedido {order} está en {place} y debería llegar en {days} días.",
        "fr": "La commande {order} est à {place} et devrait arriver dans {days} jours.",
    },
    "delivered": {
        "en": "Order {order} was delivered. Perhaps a neighbour took it?",
        "de": "Bestellung {order} wurde zugestellt. Vielleicht hat ein Nachbar sie angenommen?",
        "es": "El pedido {order} consta como entregado. ¿Quizá lo tiene un vecino?",
        "fr": "La commande {order} a été livrée. Un voisin l'a peut-être prise ?",
    },
    "packing": {
        "en": "Order {order} is being packed and leaves us tomorrow.",
        "de": "Bestellung {order} wird gerade gepackt und geht morgen raus.",
        "es": "Estamos preparando el pedido {order}; sale mañana.",
        "fr": "La commande {order} est en préparation et part demain.",
    },
    "carrier_silent": {
        "en": "The carrier does not answer right now. Please ask me again in an hour.",
        "de": "Der Paketdienst antwortet gerade nicht. Bitte fragen Sie in einer Stunde noch einmal.",
        "es": "El transportista no responde ahora mismo. Pregúnteme otra vez en una hora.",
        "fr": "Le transporteur ne répond pas pour le moment. Redemandez-moi dans une heure.",
    },
    "unknown_order": {
        "en": "I cannot find an order {order}. Could you check the number?",
        "de": "Ich finde keine Bestellung {order}. Stimmt die Nummer?",
        "es": "No encuentro ningún pedido {order}. ¿Puede comprobar el número?",
        "fr": "Je ne trouve pas de commande {order}. Pouvez-vous vérifier le numéro ?",
    },
    "which_order": {
        "en": "Which order is it about? The number looks like A-1234.",
        "de": "Um welche Bestellung geht es? Die Nummer sieht aus wie A-1234.",
        "es": "¿De qué pedido se trata? El número es como A-1234.",
        "fr": "De quelle commande s'agit-il ? Le numéro ressemble à A-1234.",
    },
    "refunded": {
        "en": "Done: {amount} are on their way back to your card.",
        "de": "Erledigt: {amount} gehen zurück auf Ihre Karte.",
        "es": "Hecho: le devolvemos {amount} a su tarjeta.",
        "fr": "C'est fait : {amount} sont remboursés sur votre carte.",
    },
    "refund_over": {
        "en": "I'm sorry, order {order} is older than {days} days, so I cannot refund it.",
        "de": "Leider ist Bestellung {order} älter als {days} Tage, ich kann sie nicht erstatten.",
        "es": "Lo siento, el pedido {order} tiene más de {days} días y no puedo reembolsarlo.",
        "fr": "Désolé, la commande {order} a plus de {days} jours, je ne peux pas la rembourser.",
    },
    "address_changed": {
        "en": "Order {order} now goes to {street}.",
        "de": "Bestellung {order} geht jetzt an {street}.",
        "es": "El pedido {order} irá a {street}.",
        "fr": "La commande {order} part maintenant à {street}.",
    },
    "address_too_late": {
        "en": "Order {order} has left our warehouse already, so the address cannot be changed any more.",
        "de": "Bestellung {order} hat unser Lager schon verlassen, die Adresse lässt sich nicht mehr ändern.",
        "es": "El pedido {order} ya ha salido del almacén y no se puede cambiar la dirección.",
        "fr": "La commande {order} a déjà quitté l'entrepôt, l'adresse ne peut plus être changée.",
    },
    "wrong_code": {
        "en": "That code is not the one we know. Please check it.",
        "de": "Dieser Code stimmt nicht. Bitte prüfen Sie ihn.",
        "es": "Ese código no es correcto. Compruébelo, por favor.",
        "fr": "Ce code n'est pas le bon. Vérifiez-le, s'il vous plaît.",
    },
    "invoice": {
        "en": "Here is the invoice for order {order}.",
        "de": "Hier ist die Rechnung zu Bestellung {order}.",
        "es": "Aquí tiene la factura del pedido {order}.",
        "fr": "Voici la facture de la commande {order}.",
    },
    "damage_noted": {
        "en": "I'm sorry! A replacement for {order} is on its way, you need not send anything back.",
        "de": "Das tut mir leid! Ersatz für {order} ist unterwegs, Sie müssen nichts zurückschicken.",
        "es": "¡Lo siento! Le enviamos otro por {order}; no hace falta devolver nada.",
        "fr": "Je suis désolé ! Un remplacement pour {order} est en route, inutile de renvoyer quoi que ce soit.",
    },
    "found": {
        "en": "We have: {names}. Which one do you like?",
        "de": "Wir haben: {names}. Welches gefällt Ihnen?",
        "es": "Tenemos: {names}. ¿Cuál le gusta?",
        "fr": "Nous avons : {names}. Lequel vous plaît ?",
    },
    "nothing_found": {
        "en": "I'm afraid we have nothing like that.",
        "de": "So etwas haben wir leider nicht.",
        "es": "Lo siento, no tenemos nada así.",
        "fr": "Nous n'avons malheureusement rien de ce genre.",
    },
    "in_basket": {
        "en": "Good choice! {name} is in your basket.",
        "de": "Gute Wahl! {name} liegt im Warenkorb.",
        "es": "¡Buena elección! {name} está en su cesta.",
        "fr": "Bon choix ! {name} est dans votre panier.",
    },
    "handed_over": {
        "en": "I'm passing you to a colleague, they will be with you in a minute.",
        "de": "Ich verbinde Sie mit einer Kollegin, einen Moment bitte.",
        "es": "Le paso con una compañera, un momento.",
        "fr": "Je vous passe une collègue, un instant.",
    },
    "welcome": {
        "en": "You're welcome. Have a good trip!",
        "de": "Gern geschehen. Gute Reise!",
        "es": "De nada. ¡Buen viaje!",
        "fr": "Avec plaisir. Bonne route !",
    },
    "not_understood": {
        "en": "I did not get that. Is it about an order, a product or an invoice?",
        "de": "Das habe ich nicht verstanden. Geht es um eine Bestellung, ein Produkt oder eine Rechnung?",
        "es": "No le he entendido. ¿Es por un pedido, un producto o una factura?",
        "fr": "Je n'ai pas compris. C'est au sujet d'une commande, d'un produit ou d'une facture ?",
    },
}

COMMENTS: dict[str, dict[str, str]] = {
    "positive": {
        "en": "Quick and friendly.",
        "de": "Schnell und freundlich.",
        "es": "Rápido y amable.",
        "fr": "Rapide et aimable.",
    },
    "neutral": {
        "en": "It was ok, took two tries.",
        "de": "Ging so, hat zwei Anläufe gebraucht.",
        "es": "Normal, hicieron falta dos intentos.",
        "fr": "Correct, il a fallu s'y reprendre à deux fois.",
    },
    "negative": {
        "en": "Didn't solve my problem at all!",
        "de": "Mein Problem wurde nicht gelöst!",
        "es": "¡No ha resuelto mi problema!",
        "fr": "Mon problème n'est pas résolu !",
    },
}
